"""Chapter 12: attention, the hinge game, the models that are attacked, and the three programs."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    assert_goes_down,
    assert_same_run,
    check_resumed,
    error_of,
    frames_of,
    kept_as_killed,
    run_eagerly,
)

from chapter12_looking_ahead import (
    attacks,
    attention,
    membership,
    membership_figures,
    networks,
    pairs,
    sagan,
    truncation,
)
from chapter12_looking_ahead.attention_figures import attention_weights
from chapter12_looking_ahead.sagan import SAGAN, generator_loss, hinge_loss
from chapter12_looking_ahead.spread import spread
from chapter12_looking_ahead.target_networks import (
    build_decoder,
    build_discriminator,
    build_encoder,
    build_generator,
)
from chapter12_looking_ahead.targets import GAN, VAE
from common import UserError, data, images, spectral
from common.batch_norm import fuse, unfuse
from common.spectral import SpectralLayer

SMOKE = ["--preset", "smoke"]


def randomly(network):
    """The network with random biases and a γ that is not 0."""
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, networks.Gamma):
            layer.gamma.assign(0.7)
        if isinstance(layer, SpectralLayer):
            layer.bias.assign(random.normal(size=layer.bias.shape))
    return network


def attention_layer():
    features = keras.Input((4, 6, 16))
    return keras.Model(features, networks.self_attention(features))


def test_attention_starts_as_if_it_were_not_there(random):
    features = random.normal(size=(2, 4, 6, 16)).astype("float32")
    np.testing.assert_array_equal(attention_layer()(features), features)


def test_attention_is_the_papers(random):
    """Equations 1 to 3 in NumPy, with the pooled keys of the authors' code."""
    model = randomly(attention_layer())
    x = random.normal(size=(2, 4, 6, 16)).astype("float32")

    def convolve(name, features):
        layer = model.get_layer(name)
        return features @ layer.normalized_kernel().numpy()[0, 0] + layer.bias.numpy()

    def pooled(features):
        return features.reshape(2, 2, 2, 3, 2, -1).max(axis=(2, 4)).reshape(2, 6, -1)

    keys, values = pooled(convolve("f", x)), pooled(convolve("h", x))
    scores = convolve("g", x).reshape(2, 24, 2) @ keys.transpose(0, 2, 1)
    weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    expected = 0.7 * convolve("v", weights @ values).reshape(x.shape) + x
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(attention_weights(model, x), weights, rtol=1e-4, atol=1e-6)


def interaction(discriminator):
    """f(AA) + f(BB) - f(AB) - f(BA) of two digits A and B, as a share of f(AA) - f(AB)."""
    digits = data.load("sample").x_test[:2]
    a, b = data.scale(pairs.make_pairs(digits))
    left = np.arange(48)[:, None] < 24
    four = np.stack([a, b, np.where(left, a, b), np.where(left, b, a)])
    aa, bb, ab, ba = discriminator(four).numpy().astype(float).ravel()
    return abs((aa + bb - ab - ba) / (aa - ab))


def test_without_attention_no_unit_sees_both_digits_of_a_pair():
    """So the logit is a sum over the two, and pairs that match have no more of it than others."""
    plain, attentive = (networks.build_discriminator(pairs.SHAPE, a) for a in (False, True))
    attentive.get_layer("gamma").gamma.assign(10)
    assert interaction(plain) < 1e-3 < 1e-2 < interaction(attentive)


@pytest.mark.parametrize("shape", [(28, 28, 1), pairs.SHAPE])
def test_networks_make_and_judge_images_of_a_shape(shape):
    generator = networks.build_generator(8, shape)
    made = generator(tf.random.normal((2, 8)))
    assert made.shape == (2, *shape) and np.abs(made).max() < 1
    assert networks.build_discriminator(shape)(made).shape == (2, 1)
    plain = networks.build_generator(8, shape, attention=False)
    attention = (
        sum(np.prod(s) for s in ((4, 32), (4, 32), (16, 32), (16, 32))) + 4 + 4 + 16 + 32 + 1
    )
    trainable = [sum(np.prod(w.shape) for w in n.trainable_weights) for n in (generator, plain)]
    assert trainable[0] - trainable[1] == attention


@pytest.mark.parametrize("attention", [True, False])
def test_an_exported_network_is_keras_own_and_makes_the_same(attention, tmp_path, random):
    generator = fuse(randomly(networks.build_generator(8, pairs.SHAPE, attention)))
    for layer in generator.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(random.normal(size=layer.moving_mean.shape))
    exported = networks.export(unfuse(generator))
    assert {type(layer).__module__.split(".")[0] for layer in exported.layers} == {"keras"}
    exported.save(tmp_path / "generator.keras")
    noise = random.normal(size=(3, 8)).astype("float32")
    loaded = keras.models.load_model(tmp_path / "generator.keras")
    np.testing.assert_allclose(loaded(noise), generator(noise), atol=1e-5)


def test_hinge_losses_are_the_papers(random):
    real, fake = (random.normal(size=(6, 1)).astype("float32") * 2 for _ in range(2))
    expected = -np.mean(np.minimum(0, real - 1)) - np.mean(np.minimum(0, -fake - 1))
    assert float(hinge_loss(real, fake)) == pytest.approx(expected, rel=1e-5)
    assert float(generator_loss(fake)) == pytest.approx(-fake.mean(), rel=1e-5)


def small_gan(kind, rates):
    """With learning rates of the discriminator and of the generator."""
    if kind is GAN:
        gan = GAN(build_generator(4), build_discriminator(), seed=3)
    else:
        shape = (8, 8, 1)
        built = networks.build_generator(4, shape), networks.build_discriminator(shape)
        gan = SAGAN(*map(randomly, built), seed=3)
    gan.compile(*(keras.optimizers.SGD(rate) for rate in rates), run_eagerly=True)
    return gan


def real_images(gan, count=8):
    shape = (count, *gan.generator.output_shape[1:])
    return np.random.default_rng(1).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize("kind", [SAGAN, GAN])
@pytest.mark.parametrize("moved", ["discriminator", "generator"])
def test_each_update_moves_the_network_it_should_and_no_other(kind, moved):
    gan = small_gan(kind, {"discriminator": (0.1, 0.0), "generator": (0.0, 0.1)}[moved])
    parts = {
        name: getattr(gan, name).trainable_variables for name in ("discriminator", "generator")
    }
    before = {name: [v.numpy() for v in variables] for name, variables in parts.items()}
    gan.train_step(tf.constant(real_images(gan)))
    for name, variables in parts.items():
        kernels = [v.ndim > 1 for v in variables]
        same = [np.array_equal(v, old) for v, old in zip(variables, before[name], strict=True)]
        assert {s for s, kernel in zip(same, kernels, strict=True) if kernel} == {name != moved}


def sagan_without_power_iterations(monkeypatch, rates):
    """After one for each network; and a list of the networks for which a step asks for more."""
    gan, asked = small_gan(SAGAN, rates), []
    for network in (gan.generator, gan.discriminator):
        spectral.update_vectors(network)
    monkeypatch.setattr(sagan, "update_vectors", asked.append)
    return gan, asked


def test_sagans_discriminator_goes_down_the_hinge_loss(monkeypatch):
    gan, asked = sagan_without_power_iterations(monkeypatch, (0.1, 0.0))
    real_batch = tf.constant(real_images(gan))
    fakes = gan.generator(attacks_noise(gan, 8), training=True)

    def loss():
        real, fake = (gan.discriminator(x, training=True) for x in (real_batch, fakes))
        return tf.reduce_mean(tf.nn.relu(1 - real)) + tf.reduce_mean(tf.nn.relu(1 + fake))

    variables = gan.discriminator.trainable_variables
    assert_goes_down(loss, lambda: gan.train_step(real_batch), variables, rate=0.1)
    assert asked == [gan.generator, gan.discriminator]


def test_sagans_generator_goes_up_the_discriminators_logit(monkeypatch):
    gan, _ = sagan_without_power_iterations(monkeypatch, (0.0, 0.1))
    real_batch = tf.constant(real_images(gan))

    def loss():
        fakes = gan.generator(attacks_noise(gan, 8), training=True)
        return -tf.reduce_mean(gan.discriminator(fakes, training=True))

    variables = gan.generator.trainable_variables
    assert_goes_down(loss, lambda: gan.train_step(real_batch), variables, rate=0.1)


def test_sagan_reports_the_mean_logits_and_both_gammas(monkeypatch):
    gan, _ = sagan_without_power_iterations(monkeypatch, (0.0, 0.0))
    gan.discriminator.get_layer("gamma").gamma.assign(0.25)
    real_batch = tf.constant(real_images(gan))
    fakes = gan.generator(attacks_noise(gan, 8), training=True)
    expected = {"d_gamma": 0.25, "g_gamma": 0.7}
    for name, batch in (("real_logit", real_batch), ("fake_logit", fakes)):
        expected[name] = float(tf.reduce_mean(gan.discriminator(batch, training=True)))
    logs = gan.train_step(real_batch)
    assert {name: float(logs[name]) for name in expected} == pytest.approx(expected, rel=1e-4)


def test_gans_discriminator_goes_down_the_cross_entropy():
    gan = small_gan(GAN, (0.1, 0.0))
    real_batch = tf.constant(real_images(gan))
    fakes = gan.generator(attacks_noise(gan, 8), training=True)

    def loss():
        real, fake = (gan.discriminator(x, training=True) for x in (real_batch, fakes))
        return tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))

    variables = gan.discriminator.trainable_variables
    assert_goes_down(loss, lambda: gan.train_step(real_batch), variables, rate=0.1)


def test_gans_generator_makes_its_images_seem_real():
    gan = small_gan(GAN, (0.0, 0.1))
    real_batch = tf.constant(real_images(gan))

    def loss():
        fakes = gan.generator(attacks_noise(gan, 8), training=True)
        return tf.reduce_mean(tf.nn.softplus(-gan.discriminator(fakes, training=True)))

    variables = gan.generator.trainable_variables
    assert_goes_down(loss, lambda: gan.train_step(real_batch), variables, rate=0.1)


def test_vae_goes_up_its_bound(random):
    vae = VAE(build_encoder(3), build_decoder(3), seed=1)
    vae.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    pictures = tf.constant(random.uniform(size=(5, 28, 28, 1)), tf.float32)

    def loss():
        return -tf.reduce_mean(vae.elbo(pictures, 0, training=True))

    variables = vae.trainable_variables
    assert_goes_down(loss, lambda: vae.train_step(pictures), variables, rate=1e-3)


def test_settings_reach_the_optimizers_of_what_is_attacked():
    config = membership.PRESETS["smoke"].replace(learning_rate=0.25, beta_1=0.75)
    run = SimpleNamespace(steps_per_execution=lambda most: 1, xla=False)
    gan, _ = membership.build(config.replace(model=["gan"]), run)
    vae, _ = membership.build(config.replace(model=["vae"]), run)
    found = [
        (float(optimizer.learning_rate), optimizer.beta_1)
        for optimizer in (gan.d_optimizer, gan.g_optimizer, vae.optimizer)
    ]
    assert found == [(0.25, 0.75), (0.25, 0.75), (0.25, 0.9)]


def test_gan_reports_the_losses_of_its_logits():
    """With learning rates of 0, what the step has seen can be computed again."""
    gan = small_gan(GAN, (0.0, 0.0))
    real_batch = real_images(gan)
    fakes = gan.generator(attacks_noise(gan, 8), training=True)
    real, fake = (gan.discriminator(x).numpy().astype(float) for x in (real_batch, fakes))
    logs = {k: float(v) for k, v in gan.train_step(tf.constant(real_batch)).items()}
    on_real, on_fake = np.mean(np.log1p(np.exp(-real))), np.mean(np.log1p(np.exp(fake)))
    assert logs["d_loss"] == pytest.approx((on_real + on_fake) / 2, rel=1e-4)
    assert logs["g_loss"] == pytest.approx(np.mean(np.log1p(np.exp(-fake))), rel=1e-4)
    scores = gan.membership_scores(real_batch)
    np.testing.assert_allclose(scores, real[:, 0], rtol=1e-4, atol=1e-5)


def attacks_noise(gan, count):
    from common.model import normal_noise

    return normal_noise((count, gan.latent_dim), gan.seed, 0)


def test_bound_of_the_vae_is_the_likelihood_less_the_divergence(random):
    vae = VAE(build_encoder(3), build_decoder(3), seed=1)
    vae.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    pictures = random.uniform(size=(5, 28, 28, 1)).astype("float32")
    pixels = pictures.reshape(5, 784).astype(float)
    mean, log_var = (x.numpy().astype(float) for x in vae.encoder(pixels))
    noise = tf.random.stateless_normal((5, 3), (1, 0), alg="philox").numpy()
    logits = vae.decoder(mean + np.exp(log_var / 2) * noise).numpy().astype(float)
    p = 1 / (1 + np.exp(-logits))
    likelihood = np.sum(pixels * np.log(p) + (1 - pixels) * np.log(1 - p), axis=1)
    kl = np.sum(np.exp(log_var) + mean**2 - 1 - log_var, axis=1) / 2
    np.testing.assert_allclose(vae.elbo(pictures, 0), likelihood - kl, rtol=1e-4)
    logs = vae.train_step(tf.constant(pictures))
    assert float(logs["loss"]) == pytest.approx(-np.mean(likelihood - kl), rel=1e-4)
    scores = vae.membership_scores(pictures * 2 - 1)
    np.testing.assert_allclose(scores, likelihood - kl, rtol=0.1)  # of other noise
    made = vae.generate(4)
    logits = vae.decoder(vae.fixed_noise(4)).numpy()
    np.testing.assert_allclose(made.reshape(4, 784), 2 / (1 + np.exp(-logits)) - 1, atol=1e-5)


class Digits:
    """300 training images and 200 test images, all different."""

    x_train = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 1), np.uint8)
    x_test = np.random.default_rng(1).integers(0, 256, (200, 28, 28, 1), np.uint8)


def as_set(pictures):
    return {picture.tobytes() for picture in pictures}


def test_members_are_trained_on_and_others_and_controls_are_not():
    chosen = attacks.choose(Digits, 150, attacked=100, seed=0)
    training, members, others, control = map(as_set, chosen)
    assert [len(x) for x in (training, members, others, control)] == [150, 100, 100, 100]
    assert members < training < as_set(Digits.x_train)
    assert not training & control and control < as_set(Digits.x_train)
    assert others < as_set(Digits.x_test)
    assert as_set(attacks.choose(Digits, 150, 100, seed=0).members) == members
    assert as_set(attacks.choose(Digits, 150, 100, seed=1).members) != members
    assert attacks.choose(Digits, 300, 100, seed=0).control is None


class Copier:
    """A model that has learned its images by heart, and one score that knows nothing."""

    SCORE = "blind score"

    def membership_scores(self, pictures):
        return np.zeros(len(pictures))


def test_who_publishes_copies_gives_its_members_away(tmp_path):
    from common.files import Files

    folder = Files()
    folder.path = tmp_path
    chosen = attacks.choose(Digits, 150, attacked=100, seed=0)
    copies = chosen.training.astype("float32") / 127.5 - 1
    found = attacks.attack_all(folder, Copier(), chosen, copies)
    assert found[attacks.NEAREST]["auc"] == found[attacks.NEAREST]["true_positive_rate"] == 1
    # Copies are at a distance of 0 but for rounding, and the threshold is that of other copies.
    assert found[attacks.NEAREST]["accuracy"] > 0.9
    assert abs(found[attacks.NEAREST]["control_auc"] - 0.5) < 0.1
    assert found["blind score"]["auc"] == 0.5
    curves = json.loads((tmp_path / "roc.json").read_text())
    assert set(curves) == {attacks.NEAREST, "blind score"}


def train_and_keep(main, folder, moment, flags=()):
    with run_eagerly(), kept_as_killed(folder, {folder.with_name("killed"): moment}):
        main([*SMOKE, *flags, "--output-dir", str(folder)])
    return folder


@pytest.fixture(scope="module")
def attention_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention") / "run"
    return train_and_keep(attention.main, folder, ("latest.weights.h5", 4))  # of plain


@pytest.fixture(scope="module")
def membership_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("membership") / "run"
    in_the_vae = ("latest.weights.h5", 4)
    return train_and_keep(membership.main, folder, in_the_vae, ["--images", "100"])


def assert_same_parts(run, whole):
    names = sorted(path.name for path in whole.iterdir() if path.is_dir())
    assert names
    for name in names:
        assert_same_run(run / name, whole / name)


def test_attention_run_leaves_what_the_readme_promises(attention_run):
    results = json.loads((attention_run / "results.json").read_text())
    assert [row["iterations"] for row in results.values()] == [2, 2, 3]
    assert all({"match", "chance", "fid"} <= set(row) for row in results.values())
    for name in ("attention", "plain"):
        folder = attention_run / name
        generator = keras.models.load_model(folder / "generator.keras")
        noise = tf.random.stateless_normal((16, 8), (0, -1), alg="philox")
        page = images.grid(generator(noise).numpy(), columns=2)
        last = max((folder / "samples").iterdir())
        np.testing.assert_allclose(images.read(last).astype(int), page.astype(int), atol=1)
        discriminator = keras.models.load_model(folder / "discriminator.keras")
        assert discriminator.output_shape == (None, 1)
        for network in (generator, discriminator):
            layers = {layer.name for layer in network.layers}
            assert ("attention" in layers) == (name == "attention")
        assert frames_of(folder / "progress.gif") == (3 if name == "attention" else 4)
    assert images.read(attention_run / "attention" / "attention.png").std() > 10
    assert images.read(attention_run / "comparison.png").shape[0] > 300


@pytest.mark.usefixtures("eagerly")
def test_attention_run_killed_in_the_second_network_and_resumed_has_the_same_bits(attention_run):
    run = attention_run.with_name("killed")
    assert (run / "attention" / "results.json").exists() and (run / "plain").exists()
    check_resumed(attention, ["--resume", run], attention_run, compare=assert_same_parts)


def test_settings_reach_the_optimizers_of_sagan(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    def stop(self, d_optimizer, g_optimizer, **settings):
        raise Stop(
            *((float(o.learning_rate), o.beta_1, o.beta_2) for o in (d_optimizer, g_optimizer))
        )

    monkeypatch.setattr(SAGAN, "compile", stop)
    flags = ["--discriminator-learning-rate", "0.25", "--generator-learning-rate", "0.5"]
    flags += ["--beta-1", "0.75", "--beta-2", "0.625", "--task", "images"]
    with pytest.raises(Stop) as stopped:
        attention.main([*SMOKE, *flags, "--output-dir", str(tmp_path / "run")])
    assert stopped.value.args == ((0.25, 0.75, 0.625), (0.5, 0.75, 0.625))


@pytest.mark.usefixtures("eagerly")
def test_one_network_of_plain_images_is_a_run_of_its_own(tmp_path):
    flags = ["--task", "images", "--network", "plain", "--output-dir", str(tmp_path / "run")]
    results = attention.main([*SMOKE, *flags])
    assert results["iterations"] == 3 and results["fid"] > 10 and "match" not in results


def test_membership_run_leaves_what_the_readme_promises(membership_run):
    results = json.loads((membership_run / "results.json").read_text())
    assert len(results) == 4  # two attacks on each of two models
    for attack in results.values():
        assert list(attack) == ["100"]
        assert all(0 <= m["auc"]["mean"] <= 1 for m in attack.values())
    part = membership_run / "gan_100_seed0"
    assert images.read(part / "nearest.png").shape == (6 * 86 + 2, 10 * 86 + 2)
    own = json.loads((part / "results.json").read_text())["attacks"]["discriminator's logit"]
    assert own["auc"] == results["gan, discriminator's logit"]["100"]["auc"]["mean"]
    assert json.loads((part / "config.json").read_text())["data"]["training_images"] == 100
    history = (part / "history.csv").read_text().splitlines()
    assert history[-1].split(",")[-1] == str(own["auc"])
    assert images.read(membership_run / "auc.png").std() > 10
    assert images.read(membership_run / "roc.png").std() > 10


def test_membership_of_several_numbers_of_images_is_summarized_by_number(monkeypatch):
    """Of made-up AUCs, with two seeds for each of two numbers of training images."""
    config = membership.PRESETS["smoke"].replace(model=["gan"], images=[100, 200], repeats=2)
    aucs = {(100, 0): 0.9, (100, 1): 0.7, (200, 0): 0.6, (200, 1): 0.6}
    assert set(config.parts) == {f"gan_{count}_seed{seed}" for count, seed in aucs}
    found = {}
    for (count, seed), auc in aucs.items():
        measured = {"auc": auc, "accuracy": 0.5, "true_positive_rate": 0.1}  # without controls
        found[f"gan_{count}_seed{seed}"] = {"attacks": {"blind": measured}}
    results = membership_figures.summarize(config, found)
    assert list(results) == ["gan, blind"] and list(results["gan, blind"]) == ["100", "200"]
    of_100, of_200 = (results["gan, blind"][count]["auc"] for count in ("100", "200"))
    assert of_100 == pytest.approx({"mean": 0.8, "deviation": 0.2 / np.sqrt(2)})
    assert of_200 == pytest.approx({"mean": 0.6, "deviation": 0})
    assert results["gan, blind"]["100"]["control_auc"] is None
    lines = [line.split() for line in membership_figures.table(results).splitlines()]
    assert lines[1] == "gan, blind 100 80.0% ± 14.1% - 50.0% ± 0.0% 10.0% ± 0.0%".split()
    assert lines[2][2:6] == "200 60.0% ± 0.0%".split()

    drawn = []
    monkeypatch.setattr(images, "figure_png", lambda figure: drawn.append(figure) or b"")
    membership_figures.draw_auc(results, "Title")
    ((curve,),) = [axes.containers for axes in drawn[0].axes]
    places, means = curve[0].get_data()
    assert list(places) == [100, 200] and list(means) == pytest.approx([0.8, 0.6])


def test_one_repetition_has_no_deviation():
    assert spread([0.8]) == {"mean": 0.8, "deviation": None}
    assert membership_figures.percent(spread([0.8])) == "80.0%"


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_membership_run_killed_in_the_last_model_and_resumed_has_the_same_bits(membership_run):
    run = membership_run.with_name("killed")
    assert (run / "gan_100_seed0" / "results.json").exists()
    check_resumed(membership, ["--resume", run], membership_run, compare=assert_same_parts)


@pytest.mark.parametrize(
    ("program", "flags", "words"),
    [
        (membership, ["--images", "5000"], "--images 5000: there are 4000 training images"),
        (
            membership,
            ["--images", "3000", "--attacked", "2000"],
            "--attacked 2000: there are only 1000 test images",
        ),
        (attention, ["--batch-size", "4001"], "--batch-size 4001 is more than the 4000 training"),
        (attention, ["--validation-images", "64"], "64 test images (or --valid"),
    ],
)
def test_too_few_images_are_one_line_and_write_nothing(
    tmp_path, monkeypatch, capsys, program, flags, words
):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(program.main, [*SMOKE, *flags], capsys)
    assert list(tmp_path.iterdir()) == []


def save_generator(path, size=28, labels=False):
    """One that draws its noise's size as brightness, and its label as a column."""
    inputs = [keras.Input((4,))]
    x = keras.layers.Dense(size * size, kernel_initializer="ones")(inputs[0])
    if labels:
        inputs.append(keras.Input((), dtype="int32"))
        x = keras.layers.Add()([x, keras.layers.Embedding(10, size * size)(inputs[1])])
    keras.Model(inputs, keras.layers.Reshape((size, size, 1))(x)).save(path)
    return str(path)


def test_truncation_sweeps_generators_of_chapters_4_6_and_8(tmp_path):
    files = [
        save_generator(tmp_path / "plain.keras"),
        save_generator(tmp_path / "padded.keras", size=32),
        save_generator(tmp_path / "conditional.keras", labels=True),
    ]
    flags = ["--dataset", "sample", "--images", "70", "--threshold", "0.5", "1"]
    run = tmp_path / "run"
    results = truncation.main(["--keras-file", *files, *flags, "--output-dir", str(run)])
    assert list(results) == files
    for number, sweep in enumerate(results.values(), start=1):
        assert list(sweep) == ["inf", "1", "0.5"]
        assert all(set(report) == set(truncation.MEASURED) for report in sweep.values())
        assert images.read(run / f"{number:02d}.png").std() > 10
    # Both draw the same but for the border, which is taken off.
    for threshold, report in results[files[0]].items():
        padded = results[files[1]][threshold]
        assert {k: v["mean"] for k, v in report.items()} == pytest.approx(
            {k: v["mean"] for k, v in padded.items()}
        )
    assert len((run / "table.csv").read_text().splitlines()) == 1 + 9
    assert images.read(run / "truncation.png").std() > 10


def test_truncation_leaves_out_latest_runs_that_it_cannot_measure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    record = {"chapter": "chapter06_progan", "preset": None, "settings": {"dataset": "sample"}}
    record |= {"data": {"source": "", "sha256": ""}, "versions": {}}
    small, large = (tmp_path / "runs" / c / "0001" for c in ("chapter06_progan", "chapter08_cgan"))
    for folder, size in ((small, 8), (large, 32)):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(record))
        save_generator(folder / "generator.keras", size)
    (small / "results.json").write_text("{}")
    with pytest.raises(UserError, match=r"0001/generator.keras: makes \(8, 8, 1\)"):
        truncation.main([])
    (large / "results.json").write_text("{}")
    capsys.readouterr()
    assert "makes (8, 8, 1)" in error_of(truncation.main, [str(small), str(large)], capsys)
    truncation.main(["--images", "70", "--threshold", "1"])
    lines = capsys.readouterr().err.splitlines()
    assert "left out: runs/chapter06_progan/0001/generator.keras: makes (8, 8, 1)" in lines[-1]
    run = tmp_path / "runs" / "chapter12_looking_ahead" / "truncation" / "0001"
    assert len((run / "table.csv").read_text().splitlines()) == 1 + 2


def test_truncation_refuses_what_is_no_generator_of_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = error_of(truncation.main, ["--dataset", "mnist"], capsys)
    assert "--dataset has no part without --keras-file" in line
    path = save_generator(tmp_path / "photos.keras", size=64)
    line = error_of(truncation.main, ["--keras-file", path, "--dataset", "sample"], capsys)
    assert "photos.keras: makes (64, 64, 1) from 1 inputs" in line
    (tmp_path / "broken.keras").write_bytes(b"")
    for name, words in (("broken", "cannot be loaded"), ("none", "there is no such file")):
        flags = ["--keras-file", f"{name}.keras", "--dataset", "sample"]
        assert words in error_of(truncation.main, flags, capsys)
    assert not (tmp_path / "runs").exists()
