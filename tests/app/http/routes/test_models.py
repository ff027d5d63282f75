import httpx

from tests.app.servers import Service


def test_the_models_are_listed(client: httpx.Client, service: Service) -> None:
    parameters = sum(p.numel() for p in service.engine.models.find_captioner().network.parameters())
    assert client.get("/models").json() == {
        "models": [
            {
                "name": "tiny",
                "kind": "captioner",
                "version": "0",
                "device": "cpu",
                "parameters": parameters,
                "loaded": True,
            }
        ]
    }


def test_one_model_has_its_card_and_defaults(client: httpx.Client) -> None:
    detail = client.get("/models/tiny").json()
    assert detail["card"].startswith("# tiny")
    assert (detail["scores"], detail["provenance"]) == ({}, {})
    assert detail["decoding"] == {
        "beam_size": 3,
        "num_captions": 1,
        "max_length": 20,
        "length_penalty": 0,
        "no_repeat_ngram_size": 0,
        "no_echo_words": [],
        "no_repeat_nouns": False,
        "no_open_endings": False,
        "consensus": False,
        "temperature": None,
        "top_k": 0,
        "top_p": 1.0,
        "seed": None,
    }
    assert detail["calibration"] is None
    assert detail["supports"] == []


def test_a_calibrated_model_shows_its_calibration(finished: httpx.Client) -> None:
    assert finished.get("/models/tiny").json()["calibration"] == {
        "features": ["mean_logprob", "tokens", "log_beam_size"],
        "coefficients": [0.5, 0.1, -0.2],
        "intercept": 0.4,
        "level": 0.4,
        "cider": {"toys/val": 0.5},
    }


def test_an_unknown_model_is_not_found(client: httpx.Client) -> None:
    response = client.get("/models/huge")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_model"
    assert "'tiny'" in response.json()["error"]["message"]


def test_language_models_have_their_network_and_defaults(writers: httpx.Client) -> None:
    listed = writers.get("/models").json()["models"]
    assert [(model["name"], model["kind"]) for model in listed] == [
        ("tiny", "captioner"), ("notes", "text"), ("verse", "text"),
    ]  # fmt: skip
    detail = writers.get("/models/notes").json()
    assert detail["card"] == "# notes\n"
    assert (detail["level"], detail["ends"], detail["device"]) == ("word", True, "cpu")
    assert detail["network"]["cell"] == "lstm"
    assert detail["sampling"] == {
        "max_tokens": 20, "temperature": 1, "top_k": 0, "top_p": 1, "no_repeat_ngram_size": 0,
    }  # fmt: skip
