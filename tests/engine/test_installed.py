"""Plugins by name: nothing takes the place of something else, one that is broken costs itself, and the check knows all.

The packages here lie as `pip install` leaves them: a module and its metadata on the path.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.engine import Engine
from ruche.engine.authoring.load import load_folder
from ruche.engine.cli.doctor import examine
from ruche.engine.cli.main import main
from ruche.engine.config import read_settings
from ruche.engine.speakers import Speakers
from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.embedders import HashingEmbedder, open_embedder
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.installed import Installed
from ruche.plugins.registry import Registry
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.rule import Rule

ENFORCER = """
class {name}:
    name = "{name}"
    monotone = False

    def prepare(self, rule):
        {prepare}

    def check(self, draft, rule, prepared):
        from ruche.plugins.contracts import Verdict
        return Verdict(outcome="fail" if draft.text.isupper() else "pass")
"""
RULES = """- id: sale
  if: Is there a sale
  then: Yes, half price.
- id: calm
  if: The reply is loud
  then: Never shout.
  hard: true
  enforce: {use: calm}
"""
FALLBACK = "- {id: f, mode: fallback, text: Sorry.}\n"


class Calm:
    """A host's own enforcer."""

    name = "calm"
    monotone = False

    def prepare(self, rule: Rule) -> None:
        return None

    def check(self, draft: Draft, rule: Rule, prepared: None) -> Verdict:
        return Verdict(outcome="fail" if draft.text.isupper() else "pass")


class Site:
    """A folder on the path into which packages are installed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def install(self, package: str, source: str, **points: str) -> None:
        """`points`: a keyword `enforcer_calm="Calm"` is the entry point `enforcer:calm = package:Calm`."""
        (self._root / f"{package}.py").write_text(source, encoding="utf-8")
        about = self._root / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{point.replace('_', ':', 1)} = {package}:{name}" for point, name in points.items()]
        (about / "entry_points.txt").write_text("\n".join(["[ruche.plugins]", *lines]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    root = tmp_path / "site"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    return Site(root)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write(tmp_path / "agents" / "shop", rules=RULES, templates=FALLBACK)


def write(folder: Path, agent: str = "name: Shop\n", **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in {"agent": agent, **files}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path) -> list[str]:
    return [str(problem) for problem in load_folder(folder).problems]


@pytest.mark.anyio
async def test_a_plugin_with_the_name_of_a_built_in_enforcer_ends_the_start_and_both_are_named(
        site: Site, tmp_path: Path) -> None:
    site.install("impostor_pkg", ENFORCER.format(name="phrase", prepare="return None"), enforcer_phrase="phrase")
    with pytest.raises(ConfigurationError, match=r"enforcer:phrase \(impostor_pkg:phrase of impostor_pkg\).*built-in "
                                                 "enforcer phrase"):
        async with Engine.open(tmp_path / "data", settings=read_settings(environment={}), embedder=HashingEmbedder()):
            pass


@pytest.mark.parametrize(("kind", "name"), [("generator", "composer"), ("generator", "openai"),
                                            ("enforcer", "expression")])
def test_no_built_in_name_can_be_taken(site: Site, kind: str, name: str) -> None:
    site.install(f"taker_{kind}_{name}", "class It: pass", **{f"{kind}_{name}": "It"})
    with pytest.raises(ConfigurationError, match=f"has the name of the built-in {kind} {name}"):
        Installed()


def test_no_built_in_embedder_can_be_taken(site: Site) -> None:
    site.install("taker_embedder", "class It: pass", embedder_minilm="It")
    with pytest.raises(ConfigurationError, match="built-in embedder minilm"):
        open_embedder(read_settings(environment={}).models)


def test_two_plugins_of_one_name_are_both_named(site: Site) -> None:
    for package in ("first_pkg", "second_pkg"):
        site.install(package, ENFORCER.format(name="calm", prepare="return None"), enforcer_calm="calm")
    with pytest.raises(ConfigurationError, match="two plugins are called enforcer:calm") as refused:
        Installed()
    assert "first_pkg:calm" in refused.value.message
    assert "second_pkg:calm" in refused.value.message


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["phrase", "calm"])
async def test_a_host_cannot_replace_an_enforcer_unseen(site: Site, tmp_path: Path, name: str) -> None:
    site.install("calm_taken_pkg", ENFORCER.format(name="calm", prepare="return None"), enforcer_calm="calm")
    with pytest.raises(ConfigurationError, match=rf"host's enforcer {name} \(Calm\) has the name of"):
        async with Engine.open(tmp_path / "data", settings=read_settings(environment={}), embedder=HashingEmbedder(),
                               enforcers={name: Calm()}):
            pass


@pytest.mark.anyio
async def test_a_plugin_that_cannot_be_imported_is_a_notice_where_no_agent_uses_it(site: Site, tmp_path: Path) -> None:
    site.install("broken_unused_pkg", "import nothing_of_that_name", enforcer_calm="Calm")
    folder = write(tmp_path / "agents" / "shop", rules=RULES.partition("- id: calm")[0])
    async with Engine.open(tmp_path / "data", agents=folder, settings=read_settings(environment={}),
                           embedder=HashingEmbedder()) as engine:
        assert (await engine.chat(agent="shop", user="ada", message="Is there a sale?")).reply == "Yes, half price."
        (notice,) = engine.notices
        assert "enforcer calm (broken_unused_pkg:Calm of broken_unused_pkg) cannot be imported" in notice
        states = {one.name: one.status for one in await engine.health()}
        assert (states["plugins"], states["retriever"]) == ("degraded", "ok")


@pytest.mark.anyio
async def test_an_agent_that_uses_a_broken_plugin_is_refused_and_told_why(site: Site, shop: Path,
                                                                         tmp_path: Path) -> None:
    site.install("broken_used_pkg", "import nothing_of_that_name", enforcer_calm="Calm")
    (problem,) = problems(shop)
    assert "rules.yaml:8:" in problem
    assert "E317" in problem
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in problem
    with pytest.raises(ConfigurationError, match="nothing_of_that_name"):
        async with Engine.open(tmp_path / "data", agents=shop, settings=read_settings(environment={}),
                               embedder=HashingEmbedder()):
            pass


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "class Calm:\n    def __init__(self): 1 / 0",
                                    "class Calm: pass", "def other(): pass"])
def test_whatever_is_wrong_with_a_plugin_costs_its_own_result(site: Site, source: str) -> None:
    site.install("wrong_pkg" + str(len(source)), source, enforcer_calm="Calm")
    installed = Installed()
    assert len(installed.notices) == 1
    with pytest.raises(ConfigurationError, match=r"rule r: .*calm"):
        installed.enforcers["calm"].prepare(Rule(id="r", if_="x", then="y"))


def test_options_on_which_an_enforcer_fails_are_a_fault_of_the_rule(site: Site, shop: Path) -> None:
    site.install("failing_pkg", ENFORCER.format(name="calm", prepare="return {}['share']"), enforcer_calm="calm")
    (problem,) = problems(shop)
    assert "E317 calm cannot be used so: the enforcer calm failed on its options (KeyError: 'share')" in problem


@pytest.mark.anyio
async def test_a_hosts_enforcer_is_known_to_the_check(shop: Path, tmp_path: Path) -> None:
    assert "E310" in problems(shop)[0]
    async with Engine.open(tmp_path / "data", agents=shop, settings=read_settings(environment={}),
                           embedder=HashingEmbedder(), enforcers={"calm": Calm()}) as engine:
        turn = await engine.chat(agent="shop", user="ada", message="Is there a sale?")
    assert turn.enforcement.checked == (("calm", "pass"),)


def test_publish_knows_the_enforcers_of_plugins(site: Site, shop: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    site.install("calm_published_pkg", ENFORCER.format(name="calm", prepare="return None"), enforcer_calm="calm")
    with pytest.raises(SystemExit) as end:
        main(["publish", str(shop), "--data", str(tmp_path / "data")])
    assert end.value.code == 0
    assert "default/shop version 1 published" in capsys.readouterr().out


# --- generators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("models", "says"), [
    ("{generator: nosuch}", "E322 there is no generator nosuch (known: composer, letter, openai)"),
    ("{generator: leter}", "E322 there is no generator leter (did you mean letter?)"),
    ("{generator: openai, model: m}", "E323 the generator openai needs url"),
    ("{generator: openai, url: 'http://127.0.0.1:9/v1'}", "E323 the generator openai needs model"),
    ("{generator: openai, url: 'localhost:9', model: m}", "E323 localhost:9 is not an address"),
])
def test_a_generator_that_cannot_speak_is_found_by_the_check(site: Site, tmp_path: Path, models: str,
                                                             says: str) -> None:
    site.install("letter_pkg", "class Letter: pass", generator_letter="Letter")
    folder = write(tmp_path / "agents" / "shop", f"name: Shop\nmodels: {models}\n")
    assert [says in line for line in problems(folder)] == [True], problems(folder)


def test_a_generator_that_cannot_be_imported_is_found_by_the_check(site: Site, tmp_path: Path) -> None:
    site.install("broken_letter_pkg", "import nothing_of_that_name", generator_letter="Letter")
    folder = write(tmp_path / "agents" / "shop", "name: Shop\nmodels: {generator: letter}\n")
    (problem,) = problems(folder)
    assert "E322 the generator letter (broken_letter_pkg:Letter of broken_letter_pkg) cannot be imported" in problem


@pytest.mark.anyio
async def test_a_host_that_makes_generators_itself_may_call_them_as_it_likes(tmp_path: Path) -> None:
    from ruche.plugins.generators import Composer

    folder = write(tmp_path / "agents" / "shop", "name: Shop\nmodels: {generator: mine}\n")
    async with Engine.open(tmp_path / "data", agents=folder, settings=read_settings(environment={}),
                           embedder=HashingEmbedder(), generator=lambda use: Composer()) as engine:
        assert [one.bundle.agent.models.generator for one in await engine.agents()] == ["mine"]


def test_a_plugin_cannot_pass_for_the_composer(site: Site) -> None:
    site.install("masked_pkg", "class Letter:\n    name = 'composer'", generator_letter="Letter")
    with pytest.raises(ConfigurationError, match="calls itself composer"):
        Speakers(Registry(), {})(ModelUse(generator="letter"))


def test_the_doctor_imports_every_plugin_and_says_which_cannot_be_used(site: Site,
                                                                       tmp_path: Path) -> None:
    site.install("good_pkg", ENFORCER.format(name="calm", prepare="return None"), enforcer_calm="calm")
    site.install("bad_pkg", "import nothing_of_this_name\n", enforcer_wild="Wild", generator_poet="Poet",
                 embedder_vague="Vague", decider_coin="toss", teapot_short="Stout")
    findings = {one.name: one for one in examine(read_settings(environment={}, data=tmp_path / "data"))}
    assert findings["plugins"].state == "warn"
    for named in ("enforcer wild", "generator poet", "embedder vague", "decider coin", "entry point teapot:short"):
        assert named in findings["plugins"].message
    assert "calm" not in findings["plugins"].message
    assert not (tmp_path / "data").exists()


def test_a_backup_beside_a_server_says_how_the_server_makes_one(tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    with (Engine.blocking(tmp_path / "data", settings=read_settings(environment={}), embedder=HashingEmbedder()),
          pytest.raises(SystemExit) as ended):
        main(["backup", "--to", str(tmp_path / "backup"), "--data", str(tmp_path / "data")])
    assert ended.value.code == 4
    assert "set backup_to under [storage], and POST /v1/admin/backup" in capsys.readouterr().err
