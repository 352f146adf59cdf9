"""A model for MLServer that takes as long as the plan says, and computes nothing: see deployment.py."""

import asyncio

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

#: A node runs one batch at a time, whatever its model.
PROCESSOR = asyncio.Lock()


class StandIn(MLModel):
    """Takes ν + τ·b seconds for a batch of b queries."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Wait for the node's processor, then for as long as the batch takes."""
        plan, size = self.settings.parameters.extra, payload.inputs[0].shape[0]
        async with PROCESSOR:
            await asyncio.sleep(plan["setup_seconds"] + size * plan["seconds_per_query"])
        answers = ResponseOutput(name="answer", shape=[size, 1], datatype="FP32", data=[0.0] * size)
        return InferenceResponse(model_name=self.name, outputs=[answers])
