"""What a user can ask for. Importing this package registers all jobs and loads no torch."""

# In the order in which they are listed to a person.
from quantvsr.jobs.info import InfoJob  # isort: skip
from quantvsr.jobs.inspect import InspectJob  # isort: skip
from quantvsr.jobs.probe import ProbeJob  # isort: skip
from quantvsr.jobs.analyze import AnalyzeJob  # isort: skip
from quantvsr.jobs.quantize import QuantizeJob  # isort: skip
from quantvsr.jobs.upscale import UpscaleJob  # isort: skip
from quantvsr.jobs.estimate import EstimateJob  # isort: skip
from quantvsr.jobs.compare import CompareJob  # isort: skip
from quantvsr.jobs.demo import DemoJob  # isort: skip
from quantvsr.jobs.methods import MethodsJob  # isort: skip
from quantvsr.jobs.sweep import SweepJob  # isort: skip
from quantvsr.jobs.measure import MeasureJob  # isort: skip
from quantvsr.jobs.preview import PreviewJob  # isort: skip
from quantvsr.jobs.report import ReportJob  # isort: skip
from quantvsr.jobs.sensitivity import SensitivityJob  # isort: skip
from quantvsr.jobs.layer import LayerJob  # isort: skip
from quantvsr.jobs.score import ScoreJob  # isort: skip
from quantvsr.jobs.repack import RepackJob  # isort: skip
from quantvsr.jobs.import_qparams import ImportQparamsJob  # isort: skip
from quantvsr.jobs.published import PublishedJob  # isort: skip
from quantvsr.jobs.convert import ConvertJob  # isort: skip
from quantvsr.jobs.sidebyside import SideBySideJob  # isort: skip
from quantvsr.jobs.deliver import DeliverJob  # isort: skip
from quantvsr.jobs.base import Job, Result, job_from_json, job_types, run  # isort: skip

__all__ = [
    "AnalyzeJob",
    "CompareJob",
    "ConvertJob",
    "DeliverJob",
    "DemoJob",
    "EstimateJob",
    "ImportQparamsJob",
    "InfoJob",
    "InspectJob",
    "Job",
    "LayerJob",
    "MeasureJob",
    "MethodsJob",
    "PreviewJob",
    "ProbeJob",
    "PublishedJob",
    "QuantizeJob",
    "RepackJob",
    "ReportJob",
    "Result",
    "ScoreJob",
    "SensitivityJob",
    "SideBySideJob",
    "SweepJob",
    "UpscaleJob",
    "job_from_json",
    "job_types",
    "run",
]
