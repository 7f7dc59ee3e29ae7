"""Compiled programs are kept in the user's cache folder, unless the one setting says otherwise."""

import jax
import pytest

from flaxact.training import distributed


@pytest.fixture
def no_folder(monkeypatch, tmp_path):
    """JAX has no folder for programs before the test nor after it; the user's cache is the test's."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]
    jax.config.update(names[0], None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(distributed.CACHE, raising=False)
    yield tmp_path
    for name, value in zip(names, before, strict=True):
        jax.config.update(name, value)


def test_programs_are_kept_in_the_users_cache(no_folder):
    folder = distributed.keep_programs()
    assert folder is not None
    assert folder.is_dir()
    assert no_folder in folder.parents
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert distributed.keep_programs() == folder


def test_one_setting_turns_it_off_or_names_another_folder(no_folder, monkeypatch):
    monkeypatch.setenv(distributed.CACHE, "off")
    assert distributed.keep_programs() is None
    assert jax.config.jax_compilation_cache_dir is None
    monkeypatch.setenv(distributed.CACHE, str(no_folder / "mine"))
    assert distributed.keep_programs() == no_folder / "mine"


def test_a_folder_that_jax_has_stays(no_folder):
    jax.config.update("jax_compilation_cache_dir", str(no_folder / "theirs"))
    assert distributed.keep_programs() == no_folder / "theirs"
