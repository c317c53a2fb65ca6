"""CUDA graphs: one launch per evaluation in place of about a hundred, which would take most of a small image's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.transfer.lbfgs import Evaluate


def capture(evaluate: Evaluate, example: Tensor) -> tuple[Evaluate, list[str]]:
    """Return a function that replays a captured graph if the device is CUDA; otherwise the given function.

    Args:
        evaluate: the function, which takes (B, 3, H, W) and never waits for the device.
        example: a tensor of the shape and device that the function will be called with.

    Returns:
        The function, and a warning if a CUDA device could not capture it.

    Raises:
        RuntimeError: the device has failed.
    """
    if example.device.type != "cuda":
        return evaluate, []
    image = example.clone()
    try:
        with torch.cuda.device(example.device), torch.cuda.stream(torch.cuda.current_stream(example.device)):
            side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side_stream):
                evaluate(image)  # libraries choose their algorithms here, which cannot be captured
            torch.cuda.current_stream().wait_stream(side_stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads pin memory meanwhile. A capture forbids that, unless it is restricted to its own thread.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                values, gradient = evaluate(image)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        torch.cuda.synchronize(example.device)  # raises again if the device has failed, and not only the capture
        first_line = str(error).partition("\n")[0]
        return evaluate, [f"no CUDA graph could be captured, evaluations are launched one by one: {first_line}"]

    def replay(at: Tensor, _read_by_the_graph: Evaluate = evaluate) -> tuple[Tensor, Tensor]:
        image.copy_(at)
        graph.replay()
        return values.clone(), gradient.clone()

    return replay, []
