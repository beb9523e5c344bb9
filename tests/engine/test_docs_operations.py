"""docs/operations.md shows settings that are accepted and commands that exist."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from ruche.engine.config import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def test_the_settings_of_the_page_are_accepted_and_mean_what_they_say() -> None:
    shown = re.search(r"```toml\n(.*?)```", PAGE, re.S)
    assert shown is not None
    settings = Settings.model_validate(tomllib.loads(shown[1]))
    assert settings.limits.for_tenant("acme").requests_per_minute == 600
    assert settings.limits.for_tenant("other").requests_per_minute == 6000
    assert settings.storage.retention.rules() == {"runs": 365, "sessions": 90}


def test_every_command_of_the_page_exists_with_the_options_shown() -> None:
    commands = re.findall(r"^ruche (\w+)(.*)$", PAGE, re.M) + re.findall(r"`ruche (\w+)([^`]*)`", PAGE)
    assert len(commands) > 8
    for name, rest in sorted(set(commands)):
        helped = subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", name, "--help"], capture_output=True,
                                text=True)
        assert helped.returncode == 0, name
        for option in re.findall(r"--[a-z-]+", rest.split("#")[0]):
            assert option in helped.stdout, f"ruche {name} {option}"


def test_the_service_of_the_page_starts_with_a_command_that_exists_and_logs_no_link() -> None:
    shown = re.search(r"```ini\n(.*?)```", PAGE, re.S)
    assert shown is not None
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(shown[1])
    service = unit["Service"]
    place, *words = service["ExecStart"].split()
    assert place.endswith("/.venv/bin/ruche")
    helped = subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", words[0], "--help"], capture_output=True,
                            text=True)
    assert all(word in helped.stdout for word in words if word.startswith("--"))
    assert service["StandardOutput"] == "null", "the console's link is told there"
