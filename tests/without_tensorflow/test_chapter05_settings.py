"""Chapter 5: which settings are whose. Without TensorFlow."""

import pytest
from conftest import error_of

from chapter05_training import train
from chapter05_training.settings import Settings
from chapter05_training.tables import NAMES, PAPER, TUNED
from common import UserError
from common.flags import parse


def typed(*flags):
    """The settings that a command line gives."""
    options, settings = parse("", train.PRESETS, list(flags))
    return train.PRESETS[options.get("preset") or "quick"].with_flags(settings)


@pytest.mark.parametrize("preset", ["quick", "book", "paper", "smoke"])
def test_every_setting_of_a_game_has_a_value(preset):
    """But for the limit of weights, which is wgan's alone, and Adam's momentum, which it lacks."""
    for name in NAMES:
        config = train.PRESETS[preset].of(name)
        missing = {key for key, value in config.model_dump().items() if value is None}
        assert missing - {"data_dir", "xla"} == ({"beta_1"} if name == "wgan" else {"clip"})


def test_one_game_has_its_own_settings_and_flags_override_them():
    config = typed("--game", "wgan")
    assert config.critic_steps == TUNED["wgan"]["critic_steps"] and config.optimizer == "rmsprop"
    paper = typed("--game", "wgan-gp", "--preset", "paper", "--critic-steps", "3")
    assert (paper.critic_steps, paper.batch_size, paper.beta_2) == (3, 50, 0.9)
    assert paper.generator_learning_rate == PAPER["wgan-gp"]["generator_learning_rate"]
    assert not paper.learning_rate_decay


def test_several_games_keep_what_is_their_own_apart():
    config = typed("--game", "hinge", "minimax", "--beta-1", "0.25")
    assert config.normalization is None and config.r1 is None
    assert config.of("hinge").normalization == "spectral" and config.of("hinge").r1 == 0
    assert config.of("minimax").beta_1 == config.of("hinge").beta_1 == 0.25


def test_games_see_as_many_images_whatever_their_critic_steps():
    config = Settings(game=list(NAMES), images=64_000, measurements=10, batch_size=64)
    for steps in (1, 2, 5):
        iterations, interval = config.replace(critic_steps=steps).schedule(60_000)
        assert iterations * 64 * steps == 64_000 and iterations == 10 * interval


def test_too_few_images_for_a_step_or_an_interval_are_refused():
    config = typed("--game", "hinge", "wgan-gp", "--batch-size", "50", "--critic-steps", "4")
    config.check_images(200)
    with pytest.raises(UserError, match=r"50 × --critic-steps 4 of hinge: more than the 199 train"):
        config.check_images(199)
    with pytest.raises(UserError, match=r"of hinge × --measurements 8: more than --images 1599$"):
        config.replace(images=1599).check_images(60_000)


def test_few_images_get_advice():
    book = typed("--preset", "book", "--game", "hinge", "wgan")
    advice = book.advice(8_000)
    assert advice.startswith("8000 training images make 320 passes in each game, where")
    assert "lower --images: 341333 make as many passes" in advice
    assert book.advice(60_000) is None and typed().advice(8_000) is None  # six passes


def test_dry_run_shows_what_each_game_has(capsys):
    train.main(["--game", "hinge", "minimax", "--dry-run"])
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["normalization"] == "hinge spectral, minimax none"
    assert printed["clip"] == "-" and printed["game"] == "hinge minimax"


@pytest.mark.parametrize(
    "game, optimizer, beta_1, beta_2",
    [
        ("minimax", "rmsprop", None, 0.9),
        ("wgan", "adam", 0.0, 0.999),
        ("wgan", "rmsprop", None, TUNED["wgan"]["beta_2"]),
    ],
)
def test_another_optimiser_has_keras_own_memory(game, optimizer, beta_1, beta_2):
    config = train.PRESETS["quick"].with_flags({"game": [game], "optimizer": optimizer})
    assert (config.beta_1, config.beta_2) == (beta_1, beta_2)
    config = train.PRESETS["paper"].with_flags({"game": ["wgan"], "optimizer": "rmsprop"})
    assert config.beta_2 == PAPER["wgan"]["beta_2"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--game", "hinge", "--clip", "0.1"], "--clip goes with --game wgan, not with hinge"),
        (["--clip", "0.1"], "--clip goes with --game wgan, not with minimax"),
        (
            ["--game", "minimax", "--gradient-penalty", "1"],
            "--gradient-penalty goes with --game wgan-gp, not with minimax",
        ),
        (["--game", "wgan", "--r1", "1"], "--r1 goes with --game minimax or non-saturating or"),
        (["--game", "wgan-gp", "--gradient-penalty", "0"], "--gradient-penalty 0 leaves"),
        (
            ["--game", "hinge", "--label-noise", "0.1"],
            "--label-noise goes with --game minimax or non-saturating, not with hinge",
        ),
        (
            ["--game", "wgan-gp", "--normalization", "batch"],
            "--normalization batch makes an image's logit depend on the others",
        ),
        (
            ["--game", "non-saturating", "--minibatch-discrimination"],
            "--minibatch-discrimination makes an image's logit depend on the others",
        ),
        (
            ["--game", "wgan-gp", "--minibatch-discrimination"],
            "as wgan-gp has it, means little; give --no-minibatch-discrimination",
        ),
        (["--game", "wgan", "--beta-1", "0.5"], "--beta-1 goes with --optimizer adam; wgan has"),
        (["--game", "wgan", "--normalization", "spectral"], "--normalization spectral goes with"),
        (
            ["--preset", "paper", "--game", "minimax", "--r1", "1"],
            "means little; give --normalization none, or --r1 0",
        ),
        (["--image-noise", "1.5"], "--image-noise 1.5: should be less than or equal to 1"),
        (["--game", "hinge", "hinge"], "--game names a game twice"),
        (["--game"], "--game needs at least 1 value"),
        (["--game", "poker"], "argument --game: invalid choice: 'poker'"),
        (["--critic-steps", "21"], "--critic-steps 21: should be less than or equal to 20"),
    ],
)
def test_settings_of_another_game_are_refused(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(train.main, flags, capsys)
    assert list(tmp_path.iterdir()) == []
