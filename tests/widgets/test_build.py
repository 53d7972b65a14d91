"""The widgets' code is in every form of the package, and no form of it needs node: built from a copy of the sources, with nothing on PATH."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from orchestrator_nb.results import page

ROOT = Path(__file__).parents[2]
STATIC = "orchestrator_nb/widgets/static"
WIDGETS = ("chat", "editor", "grid", "picker", "runs", "vault")
OTHERS = ("built.json", "editor.licenses.txt")
FILES = {f"{STATIC}/{name}" for name in (*OTHERS, *(f"{one}.{end}" for one in WIDGETS for end in ("js", "css")))}
MOST_GZ = dict.fromkeys(WIDGETS, 50_000) | {"editor": 160_000}  # it has React and the graph library
BUILD = "import sys, hatchling.build as b; print(getattr(b, f'build_{sys.argv[1]}')(sys.argv[2]))"


def copied(folder):
    """What a checkout has that a build reads."""
    skipped = shutil.ignore_patterns("node_modules", "__pycache__")
    for name in ("orchestrator_nb", "extensions", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    return folder


def build(source, kind, out):
    """As pip asks for it, where no program can be found. The file that was made, and all that was said."""
    nothing = out.parent / "nothing on the path"
    nothing.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, kind, str(out)]
    done = subprocess.run(
        command, cwd=source, env={"PATH": str(nothing)}, capture_output=True, text=True, timeout=60, check=False
    )
    return out / (done.stdout.splitlines() or [""])[-1] if done.returncode == 0 else None, done.stdout + done.stderr


def without_node(folder):
    """A folder with all that is on PATH, but node."""
    made = folder / "bin"
    made.mkdir()
    programs = {
        path.name: path for place in os.get_exec_path()[::-1] if Path(place).is_dir() for path in Path(place).iterdir()
    }
    for name, path in programs.items():
        if name not in {"node", "nodejs", "npm", "npx"}:
            (made / name).symlink_to(path)
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    made, said = build(source, "wheel", tmp_path_factory.mktemp("wheel"))
    assert made, said
    return made


def inside(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_a_wheel_made_without_node_has_every_bundle_and_nothing_of_their_sources(wheel):
    found = inside(wheel)
    assert {name for name in found if name.startswith(STATIC)} == FILES
    assert not [
        name for name in found if "node_modules" in name or name.startswith("extensions") or name.endswith(".ts")
    ]
    assert found[f"{STATIC}/picker.js"] == (ROOT / STATIC / "picker.js").read_bytes()
    assert wheel.stat().st_size < 1_500_000


def test_no_widget_is_larger_than_it_may_be(wheel):
    found = inside(wheel)
    sizes = {one: sum(len(gzip.compress(found[f"{STATIC}/{one}.{end}"])) for end in ("js", "css")) for one in WIDGETS}
    assert all(size <= MOST_GZ[name] for name, size in sizes.items()), sizes
    print(f"\nwheel {wheel.stat().st_size:,} bytes; widgets, gzipped: {sizes}")  # noqa: T201


def test_who_gets_the_editor_gets_the_licences_of_what_is_in_it(wheel):
    said = inside(wheel)[f"{STATIC}/editor.licenses.txt"].decode()
    for name in ("@xyflow/react", "@xyflow/system", "react-dom", "zustand", "d3-zoom"):
        assert f"\n{name} " in f"\n{said}"
    assert said.count("Permission ") >= 10


def test_an_sdist_made_without_node_makes_the_same_wheel_without_node(source, wheel, tmp_path):
    made, said = build(source, "sdist", tmp_path / "sdist")
    assert made, said
    with tarfile.open(made) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    [unpacked] = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "extensions/widgets/src/picker/index.ts").exists()
    again, said = build(unpacked, "wheel", tmp_path / "again")
    assert again, said
    assert {name: data for name, data in inside(again).items() if name in FILES} == {
        name: data for name, data in inside(wheel).items() if name in FILES
    }


def test_an_editable_install_without_node_finds_the_bundles_where_they_are(source, tmp_path):
    made, said = build(source, "editable", tmp_path)
    assert made, said
    assert str(source).encode() in b"".join(data for name, data in inside(made).items() if name.endswith(".pth"))


@pytest.mark.slow
def test_pip_installs_it_without_node_and_the_widget_has_its_code(source, tmp_path):
    uv = shutil.which("uv")
    if (
        uv is None
        and subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("neither uv nor pip is here")
    pip = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    target = ["--no-build-isolation", "--no-deps", "--target", str(tmp_path / "site")]
    env = {"PATH": str(without_node(tmp_path)), "HOME": str(tmp_path)}
    subprocess.run([*pip, *target, str(source)], env=env, capture_output=True, timeout=90, check=True)
    code = "from orchestrator_nb.widgets import bundles; print(bundles.__file__, len(bundles.code('picker')) > 1000)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "site/orchestrator_nb/widgets/bundles.py"), "True"]


def test_what_is_committed_is_what_the_sources_make():
    """By a digest of the sources, which needs no node; `make frontend` compares the bytes."""
    sys.path.insert(0, str(ROOT / "extensions"))
    try:
        from hatch_build import is_current
    finally:
        sys.path.pop(0)
    assert is_current(ROOT), "the widgets' sources have changed since they were built; run: make widgets"


def test_old_bundles_are_shipped_with_a_warning_where_there_is_no_node_and_missing_ones_are_an_error(tmp_path):
    source = copied(tmp_path)
    (source / "extensions/widgets/src/picker/choices.ts").write_text("// changed\n")
    made, said = build(source, "editable", tmp_path / "old")
    assert made
    assert "the widgets are older than their sources" in said
    shutil.rmtree(source / STATIC)
    made, said = build(source, "editable", tmp_path / "missing")
    assert made is None
    assert "the widgets are not built, and cannot be: there is no node here; install node 20 or newer" in said


@pytest.mark.soak
def test_changed_sources_are_built_anew_where_there_is_node(tmp_path):
    source = copied(tmp_path)
    (source / "extensions/widgets/src/lib/base.css").write_text(".onb-widget { color: rebeccapurple }\n")
    out = tmp_path / "out"
    command = [sys.executable, "-c", BUILD, "wheel", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300, check=True)
    assert "older than their sources" not in done.stdout + done.stderr
    assert b"#639" in inside(out / done.stdout.splitlines()[-1])[f"{STATIC}/picker.css"]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_without_node_make_says_plainly_that_the_widgets_are_not_checked(tmp_path):
    env = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE")
    }  # make says more inside make
    env["PATH"] = str(without_node(tmp_path))
    done = subprocess.run(
        ["make", "frontend"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith("SKIPPED: the widgets' checks")


def test_the_locked_packages_have_digests_and_no_download_addresses():
    lock = json.loads((ROOT / "extensions/widgets/package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages
    assert all(one.get("integrity", "").startswith("sha512-") for one in packages.values())
    assert not [name for name, one in packages.items() if "resolved" in one]


@pytest.mark.parametrize("path", sorted((ROOT / "extensions/widgets/src").rglob("*.ts*")), ids=lambda path: path.name)
def test_no_widget_makes_elements_out_of_text(path):
    ways = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "new Function",
        "srcdoc",
        "setHTML",
        "dangerouslySetInnerHTML",
    )
    assert [way for way in ways if way in path.read_text()] == []


def selectors(text):
    """Of each rule of a style sheet."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for rule in re.findall(r"([^{}@;]+)\{", text):
        yield from re.split(r",(?![^(]*\))", rule.strip())


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_widgets_style_reaches_no_other_widget_on_the_page(widget):
    text = (ROOT / f"extensions/widgets/src/{widget}/style.css").read_text()
    found = [one.strip() for one in selectors(re.sub(r"@(?:container|media|import|supports)[^{;]*[{;]", "", text))]
    assert found
    assert [one for one in found if f".onb-{widget}" not in one and not re.fullmatch(r"from|to|\d+%", one)] == []


def test_no_widget_uses_a_name_that_the_style_of_results_means():
    meant = set(re.findall(r"[},](?:\.)(onb-[\w-]+)", f",{page.STYLE}")) - {"onb-box", "onb-text"}
    assert "onb-more" in meant
    sources = [path.read_text() for path in (ROOT / "extensions/widgets/src").rglob("*.ts*")]
    assert [name for name in meant if any(re.search(rf"\b{name}\b(?!-)", text) for text in sources)] == []
