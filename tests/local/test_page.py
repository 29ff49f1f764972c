"""The page: one document, its own script and style, and nothing from anywhere else."""

import base64
import hashlib
import re

import httpx
from local.conftest import Project

from mindlytics_core import __version__


def page(project: Project) -> httpx.Response:
    return project.http.get("/")


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_page_allows_only_its_own_script_and_style(project: Project):
    answer = page(project)

    policy = answer.headers["content-security-policy"]
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", answer.text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert [digest(script) in policy for script in scripts] == [True]
    assert [digest(style) in policy for style in styles] == [True]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_asks_nobody_else(project: Project):
    text = page(project).text.replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"https?://|src=\"|@import|url\(", text)


def test_the_page_never_makes_markup_from_data(project: Project):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\sstyle=\"|\son[a-z]+=\"", page(project).text
    )


def test_the_page_has_all_its_parts(project: Project):
    text = page(project).text

    assert "/* style */" not in text
    assert "/* script */" not in text
    assert "MLSDK_SERVER_BASE" in text
    assert 'lang="en"' in text


def test_the_health_says_the_version(project: Project):
    assert project.http.get("/health").json() == {"status": "ok", "version": __version__}
