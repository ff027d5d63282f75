import time

import openai

from tests.app.servers import Service


def test_the_models_are_listed(api: openai.OpenAI) -> None:
    models = {model.id: model for model in api.models.list()}
    assert {name: model.kind for name, model in models.items()} == {
        "tiny": "captioner", "notes": "text", "verse": "text",
    }  # fmt: skip
    for model in models.values():
        assert model.object == "model"
        assert model.owned_by == "unrolled"
        assert time.time() - 3600 < model.created <= time.time()
        assert api.models.retrieve(model.id) == model


def test_readiness_as_localai_has_it(openai_service: Service) -> None:
    assert openai_service.client.get("/readyz").status_code == 200
