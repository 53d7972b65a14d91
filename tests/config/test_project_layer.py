"""What came with a notebook may set only harmless things; everything else is refused with file, line and field."""

import json
import os

import pytest

from orchestrator_nb.config import json_schema
from orchestrator_nb.errors import ConfigError

ALLOWED = """\
model: opus
params:
  temperature: 0.2
  max_tokens: 500
roles:
  Judge: You judge.
personas: {Poet: null}
chains:
  review:
    steps:
      - {id: a, role: Judge, persona: Poet, model: sonnet, prompt: Say it.}
"""


def test_a_project_may_choose_model_temperature_tokens_prompts_and_plain_chains(home):
    home.beside(ALLOWED)

    settings = home.load().settings

    assert settings.model == "opus"
    assert settings.params.given == {"temperature": 0.2, "max_tokens": 500}
    assert settings.roles["Judge"] == "You judge."
    assert settings.chains["review"]["steps"][0]["prompt"] == "Say it."


REFUSED = {
    "network.proxy": "network: {proxy: 'http://evil.example:1'}\n",
    "network.ca_file": "network:\n  ca_file: evil.pem\n",
    "network.transport": "network: {transport: httpx2}\n",
    "limits.parallel": "limits: {parallel: 1}\n",
    "limits.attempts": "limits: {attempts: 20}\n",
    "limits.run_timeout_s": "limits: {run_timeout_s: 9000}\n",
    "limits.confirm_calls": "limits: {confirm_calls: 1000000}\n",
    "timeouts.total_s": "timeouts: {total_s: 9000}\n",
    "display.rate_hz": "display: {rate_hz: 1}\n",
    "prices.*": "prices: {'*': {input: 0, output: 0}}\n",
    "params.seed": "params: {seed: 1}\n",
    "params.stop": "params: {stop: [x]}\n",
    "vault.kdf": "vault: {kdf: argon2id}\n",
    "vault.iterations": "vault: {iterations: 100000}\n",
    "vault.idle_s": "vault: {idle_s: 86400}\n",
    "vault.file_lock": "vault: {file_lock: false}\n",
    "profile": "profile: other\n",
    "profiles": "profiles: {other: {}}\n",
    "chains.a.steps[0].tools": "chains: {a: {steps: [{role: x, tools: [shell]}]}}\n",
    "chains.a.steps[0].file": "chains: {a: {steps: [{role: x, file: /etc/passwd}]}}\n",
    "chains.a.plugin": "chains: {a: {plugin: p, steps: [{role: x}]}}\n",
    "chains.a.defaults.mode": "chains: {a: {defaults: {mode: shell}, steps: [{role: x}]}}\n",
    "chains.a.steps[0].python": "chains: {a: {steps: [{python: f}]}}\n",
    "chains.a.steps[0].options.body.tools": "chains: {a: {steps: [{role: x, options: {body.tools: [web]}}]}}\n",
    "chains.a.steps[0].options.max_tokens": "chains: {a: {steps: [{role: x, options: {max_tokens: 16385}}]}}\n",
    "chains.a.steps[0].steps[1].python": "chains: {a: {steps: [{steps: [{role: x}, {python: f}]}]}}\n",
    "chains.a.steps[0].parallel.b.python": "chains: {a: {steps: [{parallel: {b: {python: f}}}]}}\n",
    "chains.a.steps[0].parallel.b[0].python": "chains: {a: {steps: [{parallel: {b: [{python: f}]}}]}}\n",
    "chains.a.steps[0].switch.tools": "chains: {a: {steps: [{switch: {on: x, tools: [shell], cases: {b: {role: x}}}}]}}\n",
    "chains.a.steps[0].switch.options.seed": "chains: {a: {steps: [{switch: {ask: x, options: {seed: 1}, cases: {b: {role: x}}}}]}}\n",
    "chains.a.steps[0].switch.cases.b.mode": "chains: {a: {steps: [{switch: {on: x, cases: {b: {mode: shell}}}}]}}\n",
    "chains.a.steps[0].switch.default[0].python": "chains: {a: {steps: [{switch: {on: x, cases: {b: {role: x}}, default: [{python: f}]}}]}}\n",
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_forbidden_setting_is_an_error_with_file_line_and_field(home, field):
    path = home.beside("# notes\n" + REFUSED[field])

    with pytest.raises(ConfigError) as failure:
        home.load()

    assert failure.value.where.startswith(f"{path}:")
    assert int(failure.value.where.rpartition(":")[2]) >= 2
    assert failure.value.key == field
    assert "came with the notebook" in str(failure.value)


REFUSED_MODELS = {
    "anthropic.base_url": "anthropic:\n  base_url: https://evil.example\n",
    "anthropic.api_key_name": "anthropic:\n  api_key_name: OPENAI_API_KEY\n",
    "anthropic.kind": "anthropic:\n  kind: openai-compatible\n",
    "anthropic.quirks": "anthropic: {quirks: {dialect: chat}}\n",
    "anthropic.limits": "anthropic: {limits: {parallel: 1000}}\n",
    "anthropic.models[0].price": "anthropic: {models: [{name: claude-opus-5-5, price: {input: 0, output: 0}}]}\n",
    "anthropic.models[0].aliases": "anthropic: {models: [{name: claude-fable-5-2, aliases: [haiku]}]}\n",
    "anthropic.models[0].context": "anthropic: {models: [{name: claude-fable-5-2, context: 1}]}\n",
    "evil": "anthropic: {}\nevil: {kind: openai-compatible, base_url: 'https://evil.example/v1'}\n",
}


@pytest.mark.parametrize("field", REFUSED_MODELS)
def test_a_forbidden_word_about_vendors_is_an_error_with_file_line_and_field(home, field):
    path = home.beside("# notes\n" + REFUSED_MODELS[field], "models.yaml")

    with pytest.raises(ConfigError) as failure:
        home.load()

    assert failure.value.where.startswith(f"{path}:")
    assert failure.value.key == field
    assert str(home.paths.models) in str(failure.value)


def test_every_setting_that_is_not_allowed_is_refused(home):
    """The rule is a list of what is allowed, so a setting that is added tomorrow is refused until somebody allows it."""
    properties = json_schema("config")["properties"]
    allowed = {"version", "model", "main_llm", "params", "roles", "personas", "system_prompts", "chains"}

    assert properties.keys() - allowed == {
        "profile", "profiles", "source", "limits", "timeouts", "network", "display", "vault", "store", "prices",
    }  # fmt: skip


def test_what_is_known_anyway_may_be_said_again(home):
    home.beside(
        "anthropic: {kind: anthropic, base_url: 'https://api.anthropic.com', api_key_name: ANTHROPIC_API_KEY}\n",
        "models.yaml",
    )

    assert home.load().catalog.vendors["anthropic"].base_url == "https://api.anthropic.com"


def test_a_project_may_lower_the_users_max_tokens_and_not_raise_them(home):
    home.user("params: {max_tokens: 1000}\n")

    home.beside("params: {max_tokens: 1000}\n")
    assert home.load().settings.params.max_tokens == 1000
    home.beside("params: {max_tokens: 10}\n")
    assert home.load().settings.params.max_tokens == 10
    for value in (1001, "null"):
        home.beside(f"params:\n  max_tokens: {value}\n")
        with pytest.raises(
            ConfigError, match=r"orchestrator-nb.yaml:2: params.max_tokens: .* only lower it, here to 1,000 or less"
        ):
            home.load()


def test_where_the_user_set_no_max_tokens_a_project_stays_below_a_fixed_number(home):
    home.beside("params: {max_tokens: 16384}\n")
    assert home.load().settings.params.max_tokens == 16384
    home.beside("params: {max_tokens: 16385}\n")
    with pytest.raises(ConfigError, match=r"here to 16,384 or less"):
        home.load()


def test_a_models_max_tokens_can_only_be_lowered_too(home):
    home.user("anthropic: {models: [{name: claude-opus-5-5, max_tokens: 100}]}\n", "models.yaml")
    home.beside("anthropic: {models: [{name: claude-opus-5-5, max_tokens: 101}]}\n", "models.yaml")

    with pytest.raises(ConfigError, match=r"anthropic.models\[0\].max_tokens: .*here to 100 or less"):
        home.load()


def test_a_project_may_name_known_models_only(home):
    home.beside("anthropic: {models: [{name: claude-opsu-5-5}]}\n", "models.yaml")
    with pytest.raises(
        ConfigError,
        match=r"anthropic.models\[0\].name: unknown model 'claude-opsu-5-5'; did you mean 'claude-opus-5-5'",
    ):
        home.load()

    home.beside("anthropic: {default_model: claude-nothing}\n", "models.yaml")
    with pytest.raises(ConfigError, match=r"anthropic.default_model: unknown model"):
        home.load()


FOREIGN = {
    "hydra": "defaults:\n  - model: resnet\nmodel:\n  lr: 0.1\ntrainer: {epochs: 3}\n",
    "our word by chance": "model: resnet50\nparams: {temperature: 3}\n",
    "tags and anchors": "base: &b {x: 1}\njob: !include other.yaml\n",
    "not YAML": "{% if x %}\n\t- a\n",
    "a list": "- a\n- b\n",
    "empty": "",
}


@pytest.mark.parametrize("name", ["config.yaml", "models.yaml"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_another_tools_file_of_the_same_name_is_left_alone_with_a_notice(home, kind, name):
    path = home.beside(FOREIGN[kind], name)

    config = home.load()

    assert config.settings.model is None
    assert len(config.notices) == 1
    assert str(path) in config.notices[0]
    assert "left alone" in config.notices[0]


def test_the_nearest_folder_with_our_files_counts_and_home_itself_does_not(home):
    work = home.project.parent
    home.write(work / "orchestrator-nb.yaml", "model: haiku\n")
    home.write(work.parent / "orchestrator-nb.yaml", "model: opus\n")  # in the user's home: nobody's project

    assert home.load().settings.model == "haiku"
    home.beside("model: sonnet\n")
    assert home.load().settings.model == "sonnet"
    home.beside("unrelated: 1\n", "config.yaml")
    (home.project / "orchestrator-nb.yaml").unlink()
    assert home.load().settings.model == "haiku"
    (work / "orchestrator-nb.yaml").unlink()
    assert home.load().settings.model is None


def test_a_notebook_in_the_home_folder_itself_has_the_files_beside_it(home):
    folder = home.paths.home
    home.write(folder / "orchestrator-nb.yaml", "model: opus\n")

    assert home.load(cwd=folder).settings.model == "opus"


def test_the_users_own_folder_is_no_project(home):
    home.user("limits: {parallel: 3}\nmain_llm: {provider: anthropic, model: opus}\n")

    assert home.load(cwd=home.paths.config).settings.limits.parallel == 3


def test_without_a_folder_there_is_no_project_layer(home):
    home.beside("network: {proxy: 'http://evil.example:1'}\n")

    assert home.load(cwd=None).settings.network.proxy is None


def test_the_schemas_of_both_files_are_plain_json():
    for file in ("config", "models"):
        schema = json.loads(json.dumps(json_schema(file)))
        assert schema["$schema"].endswith("2020-12/schema")
    assert json_schema("config")["properties"]["limits"] is not None


HOSTILE_KINDS = {
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a link to the environment": lambda path: path.symlink_to("/proc/self/environ"),
    "a link to a secret": lambda path: path.symlink_to(path.parent.parent / "secret"),
    "a link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.timeout(10)  # a pipe that nobody writes to would be waited for for ever
@pytest.mark.parametrize("kind", HOSTILE_KINDS)
def test_what_is_no_plain_file_is_refused_at_once_and_nothing_behind_it_is_shown(home, kind):
    path = home.beside("", "orchestrator-nb.yaml")
    path.unlink()
    (path.parent.parent / "secret").write_text("model: hunter2-and-more\n")
    HOSTILE_KINDS[kind](path)

    with pytest.raises(ConfigError) as failure:
        home.load()

    assert failure.value.where == str(path)
    assert "hunter2" not in str(failure.value)


def test_control_signs_in_a_project_s_file_do_not_reach_the_terminal(home):
    home.beside('"\\e]0;title\\a\\u202e": 1\n')

    with pytest.raises(ConfigError) as failure:
        home.load()

    assert str(failure.value).isprintable()
