"""StableVSR (Rota, Buzzelli, van de Weijer, ECCV 2024): the x4 upscaler with a ControlNet over time.

Written from the paper. In every sampling step the frames are visited one after another, forward in one step
and backward in the next ("frame-wise bidirectional sampling"). What the step says of the clean neighbour that
was visited before is decoded, warped onto the frame by optical flow, and shown to the ControlNet ("temporal
texture guidance"). The first frame of a sweep has no such neighbour and goes without.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from quantvsr.errors import BadModel
from quantvsr.models.mgld.checkpoint import Part, load_parts, on_meta
from quantvsr.models.mgld.flow import DisFlow, FlowEstimator, RaftFlow
from quantvsr.models.mgld.motion import resize_flow, warp
from quantvsr.models.mgld.raft import Raft
from quantvsr.models.upscalers.base import Call, ImageUpscaler
from quantvsr.models.upscalers.parts import enlargement, load_network, load_scheduler
from quantvsr.models.upscalers.sd_x4 import LICENCE, NOISE_LEVEL, SCALING
from quantvsr.models.upscalers.text import empty_prompt
from quantvsr.models.weights import read_shapes, read_tensors, weight_files, with_prefix


class StableVSRDenoiser(nn.Module):
    """The UNet with what the ControlNet adds, all as tensors."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        class_labels: Tensor,
        down: Sequence[Tensor],
        middle: Tensor,
    ) -> Tensor:
        """Prediction for (N, 7, h, w); `down` and `middle` are added to its inner maps."""
        rows = len(sample)
        return self.unet(
            sample,
            timestep,
            encoder_hidden_states=encoder_hidden_states.expand(rows, -1, -1),
            class_labels=class_labels.expand(rows),
            down_block_additional_residuals=tuple(down),
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]


class StableVSRAdapter(ImageUpscaler):
    """StableVSR on windows; the UNet is quantized, the ControlNet stays in full precision."""

    name = "stablevsr"
    default_steps = 50

    def __init__(
        self,
        unet: UNet2DConditionModel,
        controlnet: ControlNetModel,
        vae: AutoencoderKL,
        schedulers: tuple[Any, Any],
        context: Tensor,
        source: Path,
        device: torch.device,
        notes: tuple[str, ...] = (),
        flow: FlowEstimator | None = None,
    ) -> None:
        scheduler, self.low_res_scheduler = schedulers
        denoiser = StableVSRDenoiser(unet).to(device)
        self.flow = flow or DisFlow()
        motion = f"Motion comes from {self.flow.title}."
        super().__init__(denoiser, scheduler, source, device, (LICENCE, motion, *notes))
        self.controlnet, self.vae = cast(Any, controlnet).to(device), cast(Any, vae).to(device)
        self.context = context.to(device)
        self.scale = enlargement(self.vae)
        self.noise_channels = 3 + self.vae.config.latent_channels

    def _run(
        self,
        lq: Tensor,
        noise: Tensor,
        steps: int,
        before_step: Callable[[], None] | None,
        calls: list[Call] | None,
    ) -> Tensor:
        timesteps = self._timesteps(steps)
        level = torch.tensor([NOISE_LEVEL], device=self.device)
        image_noise, start = noise.split([3, len(noise) - 3])
        image = self.low_res_scheduler.add_noise(lq * 2 - 1, image_noise.expand_as(lq), level)
        latents = list((start * self.scheduler.init_noise_sigma).expand(len(lq), -1, -1, -1).split(1))
        towards = {1: self._flows(lq[1:], lq[:-1]), -1: self._flows(lq[:-1], lq[1:])}
        for number, timestep in enumerate(timesteps):
            if before_step is not None:
                before_step()
            direction = 1 if number % 2 == 0 else -1
            step_calls: dict[int, Call] = {}
            shown: Tensor | None = None
            order = range(len(lq))[::direction]
            for index in order:
                inputs = {
                    "sample": torch.cat([latents[index], image[index : index + 1]], dim=1),
                    "timestep": timestep,
                    "encoder_hidden_states": self.context,
                    "class_labels": level,
                }
                if shown is not None:
                    # The flow from this frame to the one before it in the sweep.
                    flow = towards[direction][index - 1 if direction > 0 else index]
                    shown = warp(shown, flow[None])
                inputs |= self._guide(inputs, shown)
                predicted = self._denoise(inputs)
                step_calls[index] = (inputs, predicted)
                done = self.scheduler.step(predicted, timestep, latents[index])
                latents[index] = done.prev_sample
                if index != order[-1]:
                    shown = self._decode(done.pred_original_sample)
            if calls is not None:
                calls.append(_together([step_calls[index] for index in range(len(lq))]))
        return torch.cat([(self._decode(row) / 2 + 0.5).clamp(0, 1) for row in latents])

    def _flows(self, here: Tensor, there: Tensor) -> Tensor:
        """Flow of low-quality frames, as it is at the size of the results."""
        height, width = (side * self.scale for side in here.shape[2:])
        return resize_flow(self.flow(here, there), height, width)

    def _guide(self, inputs: dict[str, Tensor], shown: Tensor | None) -> dict[str, Any]:
        """What the ControlNet adds to the UNet's inner maps; zeros without a picture to show it."""
        picture = shown
        if picture is None:
            rows, _, height, width = inputs["sample"].shape
            picture = inputs["sample"].new_zeros(rows, 3, height * self.scale, width * self.scale)
        down, middle = self.controlnet(
            inputs["sample"],
            inputs["timestep"],
            encoder_hidden_states=inputs["encoder_hidden_states"],
            controlnet_cond=picture,
            class_labels=inputs["class_labels"],
            return_dict=False,
        )
        if shown is None:
            down, middle = [torch.zeros_like(value) for value in down], torch.zeros_like(middle)
        return {"down": list(down), "middle": middle}

    def _decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents / SCALING, return_dict=False)[0]


def _together(calls: list[Call]) -> Call:
    """The calls for the frames of a window as one call: frames do not see each other in the UNet."""
    every = [cast(dict[str, Any], inputs) for inputs, _ in calls]
    joined: dict[str, Any] = dict(every[0])
    for name in ("sample", "middle"):
        joined[name] = torch.cat([inputs[name] for inputs in every])
    joined["down"] = [torch.cat(level) for level in zip(*(inputs["down"] for inputs in every), strict=True)]
    return joined, torch.cat([output for _, output in calls])


def open_folder(path: Path, device: torch.device) -> StableVSRAdapter:
    """Open the pipeline's folder in single precision.

    Raises:
        BadModel: A part is missing, damaged or of another model.
    """
    # Frames take their steps one by one, so the scheduler must not count them.
    scheduler, note = load_scheduler(path, known=frozenset({"DDIMScheduler"}))
    low_res_scheduler, _ = load_scheduler(path, "low_res_scheduler")
    unet = load_network(UNet2DConditionModel, path, "unet")
    controlnet = load_network(ControlNetModel, path, "controlnet")
    vae = load_network(AutoencoderKL, path, "vae")
    shrinks = 2 ** (len(cast(Any, controlnet).config.conditioning_embedding_out_channels) - 1)
    scale = enlargement(vae)
    if shrinks != scale:
        raise BadModel(
            f"{path / 'controlnet'} shrinks its picture {shrinks} times where the model enlarges {scale} "
            "times; get the folder of StableVSR."
        )
    notes = (note,) if note is not None else ()
    context = empty_prompt(path)
    flow = raft_in(path, device)
    return StableVSRAdapter(
        unet, controlnet, vae, (scheduler, low_res_scheduler), context, path, device, notes, flow
    )


def raft_in(folder: Path, device: torch.device) -> FlowEstimator | None:
    """RAFT, where its weights lie in a folder.

    Raises:
        BadModel: They are damaged or incomplete.
    """
    for file in weight_files(folder):
        shapes = read_shapes(file)
        prefix = with_prefix(shapes, "module.")
        if f"{prefix}fnet.conv1.weight" in shapes:
            network = on_meta(Raft)
            load_parts(read_tensors(file), [Part(prefix, network)], str(file))
            return RaftFlow(network.to(device))
    return None
