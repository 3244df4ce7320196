"""Methods x bits x clips: every combination once, in one table.

What a sweep leaves in its folder; everything is relative to it, so that the folder can be moved:

    results.json                   all figures, see below; written anew after every finished cell
    results.csv                    the same figures, one line per method, bits and clip
    samples/                       calibration samples, the same for all methods
    scenes/CLIP/lq, gt             the clip as pictures (gt: where there is a ground truth)
    scenes/CLIP/pictures/          NAME_crop.png, NAME_xt.png, NAME_thumb.png for NAME = lq, gt, bicubic, fp
    models/CELL/                   checkpoint.safetensors, refinement.json (losses), ranks.json, ...
    cells/CELL/CLIP/               crop.png, xt.png, thumb.png of what the method made of the clip

CELL is `METHOD-BITS-HASH`, with a hash of everything that decides the model. `results.json`:

    {
      "format": "quantvsr-results", "version": 1,
      "program": "0.1.0", "command": "quantvsr sweep ...", "settings": {...as the job's JSON...},
      "settings_hash": "...",
      "model": {"name": "compact", "reference": "bundled", "sha256": "..."},
      "machine": {"device": "cuda", "device_name": "...", "execution": "simulated", "versions": {...}},
      "metrics": {METRIC: {"title", "unit", "direction", "range", "conventions", ...}},   (registry's to_json)
      "learned_from": [{"name", "sha256"}],              (calibration clips)
      "clips": [                                          (in the order of the tables)
        {"id", "name", "sha256", "frames", "width", "height", (of the result, in pixels)
         "has_gt": true,
         "region": {"frame", "y", "x", "height", "width"},  (what the crops show, pixels of the result)
         "row": 123,                                        (the row that the x-t slices show)
         "figures": {"bicubic": {FIGURE: value}},           (the yardstick)
         "pictures": {"lq": {"crop", "xt", "thumb"}, "gt": ..., "bicubic": ..., "fp": ...}}],
      "methods": {METHOD: {"title", "summary", "source", "simplified", "family": "method" | "ablation"}},
      "entries": [                                        (one per method and bits; the first is "fp")
        {"method": "svdquant", "bits": "W4A4", "cell": "svdquant-W4A4-0123456789", "folder": "models/...",
         "status": "done" | "failed" | "missing", "error": null | "one sentence",
         "layers", "bytes_fp32", "bytes_lowbit", "reduction", "effective_bits", "updates",
         "loss_first", "loss_last", "checkpoint_sha256",
         "seconds": {"quantize", "upscale"},
         "clips": {CLIP_ID: {
            "status": "done" | "failed", "error": null | "one sentence",
            "figures": {FIGURE: value or null}, "seconds": 1.2, "frames": 12,
            "pictures": {"crop": path, "xt": path, "thumb": path}}},
         "mean": {FIGURE: mean over the clips that have a value},   (only when all clips are done)
        }]
    }

FIGURE is `METRIC_gt`, `METRIC_fp` (against the ground truth, against the full-precision result) or `METRIC`
(metrics of one clip alone). The entry of method "fp" has bits null, folder null and no sizes but bytes_fp32.
Figures are means over the frames of a clip, computed on frames before any encoding. An entry "missing" was
asked for but not reached yet (an interrupted sweep).
"""
