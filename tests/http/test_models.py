"""``/v1/models``, ``/health`` and ``/ready``."""

from __future__ import annotations

from http_rig import HOME, HTTPRig

from rkllm_twisted.http.daemons import LISTING_S


def test_the_models_of_all_daemons_are_in_one_list() -> None:
    rig = HTTPRig(daemons=[{"model": f"{HOME}/a.rkllm"}, {"model": f"{HOME}/b.rkllm"}])
    body = rig.ask("GET", "/v1/models").json
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["a", "b"]
    rig.close()


def test_a_model_is_shown_by_its_name_which_may_have_slashes() -> None:
    rig = HTTPRig()
    assert rig.ask("GET", "/v1/models/mine").json["id"] == "mine"
    response = rig.ask("GET", "/models/user/other:tag")
    assert response.status == 404
    assert "'user/other:tag'" in response.json["error"]["message"]
    rig.close()


def test_a_daemon_that_is_away_does_not_hide_the_others() -> None:
    rig = HTTPRig(daemons=[{"is_there": False}, {"model": f"{HOME}/b.rkllm"}])
    assert [model["id"] for model in rig.ask("GET", "/v1/models").json["data"]] == ["b"]
    rig.close()


def test_the_list_is_asked_for_once_for_requests_that_come_soon_after() -> None:
    rig = HTTPRig()
    body = {"model": "mine", "messages": [{"role": "user", "content": "Hello"}]}
    for _ in range(3):
        assert rig.post("/v1/chat/completions", body).status == 200
    assert rig.clock.seconds() < LISTING_S
    # This model has no name in the daemon, so it is made sure of each time, by one question.
    asked = [call.method for call in rig.daemon.calls]
    assert asked.count("chat.complete") == 3
    assert asked.count("models.list") == 1
    rig.close()


def test_another_model_that_was_loaded_by_its_path_meanwhile_answers_by_its_name() -> None:
    rig = HTTPRig()
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    assert rig.post("/v1/chat/completions", body).json["model"] == "mine"
    rig.service.daemons.links[0].call("rkllm.init", {"param": {"model_path": f"{HOME}/new.rkllm"}})
    rig.settle()
    assert rig.post("/v1/chat/completions", body).json["model"] == "new"
    assert rig.clock.seconds() < LISTING_S
    rig.close()


def test_the_service_is_healthy_whatever_its_daemons_do() -> None:
    rig = HTTPRig(is_there=False)
    assert rig.ask("GET", "/health").json == {"status": "ok"}
    assert rig.ask("GET", "/ready").status == 503
    rig.close()


def test_a_daemon_with_no_model_is_not_ready() -> None:
    rig = HTTPRig(model=None)
    response = rig.ask("GET", "/ready")
    assert (response.status, response.json["error"]["code"]) == (503, "no_model")
    rig.close()
