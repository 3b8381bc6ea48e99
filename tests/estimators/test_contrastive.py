"""The transformer and the classifier: tools of scikit-learn, every method, lengths, a signal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.estimators.tiny import LEARN, classifier, clusterer, retrieval, transformer, waves
from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, DataError, InputError
from tscl.methods import METHODS
from tscl.pooling import pool_time

X, Y = waves()
PATIENT, TRIAL = np.arange(24) // 4, np.arange(24) // 2 % 2


@pytest.mark.parametrize("method", sorted(set(METHODS.names()) - {"e2e", "knowledge_distillation"}))
def test_every_method_by_name(method):
    model = transformer(method, method_params={"tokens": 10} if method == "ts_tcc" else None)
    embeddings = model.fit(X, Y, patient=PATIENT, trial=TRIAL).transform(X)
    assert embeddings.shape == (24, 8)
    assert np.isfinite(embeddings).all()
    assert len(model.history_) >= 1


def test_methods_say_what_they_need():
    with pytest.raises(ConfigError, match="ForecastNetwork"):
        transformer("e2e").fit(X)
    with pytest.raises(ConfigError, match="crops"):
        transformer("knowledge_distillation").fit(X)
    with pytest.raises(InputError, match=r"crops\.pace.*leave the target out"):
        transformer("knowledge_distillation", method_params={"crops": {"pace": 1}}).fit(X)
    for method in ("comet", "clocs"):
        with pytest.raises(InputError, match="contrasts by ids"):
            transformer(method).fit(X)
    with pytest.raises(InputError, match="pass patient too"):
        transformer("comet").fit(X, trial=TRIAL)
    with pytest.raises(InputError, match="24 ids"):
        transformer("comet").fit(X, patient=PATIENT[:3])
    with pytest.raises(InputError, match="supervised"):
        transformer("simclr", loss="supcon").fit(X)
    with pytest.raises(ConfigError, match="autotcl, paired, simclr"):
        transformer("ts2vec", loss="infonce").fit(X)
    with pytest.raises(ConfigError, match="name the loss"):
        transformer("simclr", loss_params={"temperature": 1.0}).fit(X)


SIZES = {
    "experts": {"backbone": "tcn", "backbone_params": {"depth": 1}},
    "read_out": {"backbone": "tcn", "backbone_params": {"depth": 1}},
    "resnet1d": {"widths": [8, 8], "strides": [1, 2]},
    "inception_time": {"filters": 4, "depth": 1},
    "eegnet": {"filters": 2},
    "time_frequency": {"backbone": "tcn", "backbone_params": {"depth": 1}},
}


# braindecode is an extra, with a test of its own
@pytest.mark.parametrize("encoder", sorted(set(ENCODERS.names()) - {"braindecode"}))
def test_every_encoder_by_name(encoder):
    params = {"output_dims": 6, **SIZES.get(encoder, {"hidden_dims": 16, "depth": 1})}
    assert transformer(encoder=encoder, encoder_params=params).fit_transform(X).shape == (24, 6)


@pytest.mark.parametrize("loss", ["dcl", "barlow_twins", "supcon"])
def test_losses_by_name(loss):
    embeddings = transformer(loss=loss).fit(X, np.array(["a", "b"])[Y]).transform(X)
    other = transformer().fit(X).transform(X)
    assert not np.array_equal(embeddings, other)


def test_an_unsupervised_fit_never_looks_at_labels():
    embeddings = transformer().fit(X, Y).transform(X)
    np.testing.assert_array_equal(embeddings, transformer().fit(X, Y[::-1]).transform(X))
    np.testing.assert_array_equal(embeddings, transformer().fit(X).transform(X))


def test_pipeline_grid_search_and_set_output():
    pipe = make_pipeline(transformer(), StandardScaler(), LogisticRegression())
    assert pipe.fit(X, Y).predict(X).shape == (24,)
    pipe.fit(X, Y, contrastivetransformer__patient=PATIENT)
    grid = {"contrastivetransformer__pooling": ["max", "mean"]}
    search = GridSearchCV(pipe, grid, cv=2).fit(X, Y)
    assert search.best_params_["contrastivetransformer__pooling"] in ("max", "mean")
    assert len(cross_val_score(classifier(), X[:, :, 0], Y, cv=2)) == 2
    model = transformer().set_output(transform="pandas").fit(X)
    frame = model.transform(X)
    assert list(frame.columns) == list(model.get_feature_names_out())
    assert list(frame.columns)[:2] == ["contrastivetransformer0", "contrastivetransformer1"]
    wide = pd.DataFrame(X[:, :, 0], columns=[f"t{i}" for i in range(60)], index=range(100, 124))
    model = transformer().set_output(transform="pandas").fit(wide)
    assert list(model.feature_names_in_) == list(wide.columns)
    assert list(model.transform(wide).index) == list(wide.index)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(wide[wide.columns[::-1]])


def test_features_in_and_forms_of_input():
    flat = transformer().fit(X[:, :, 0])
    assert (flat.n_features_in_, flat.n_channels_in_) == (60, 1)
    deep = transformer().fit(X)
    assert (deep.n_features_in_, deep.n_channels_in_) == (2, 2)
    one = transformer().fit(X[:, :, :1])
    np.testing.assert_array_equal(one.transform(X[:, :, :1]), flat.transform(X[:, :, 0]))
    for form in (torch.from_numpy(X), list(X), X.astype(np.float64), X.tolist()):
        np.testing.assert_array_equal(deep.transform(form), deep.transform(X))
    assert deep.transform(X[:, :31]).shape == (24, 8)
    with pytest.raises(DataError, match="3-D"):
        deep.transform(X[:, :, 0])
    with pytest.raises(DataError, match="sample 1 holds no value"):
        deep.transform(np.where(np.arange(24)[:, None, None] == 1, np.nan, X))
    with pytest.raises(DataError, match="channel 1"):
        transformer().fit(np.where(np.arange(2) == 1, np.nan, X))


@pytest.mark.parametrize("encoder", ["tcn", "dilated", "transformer"])
def test_padding_does_not_change_a_code(encoder):
    params = {"output_dims": 8, "hidden_dims": 16, "depth": 2}
    model = transformer(encoder=encoder, encoder_params=params).fit(X)
    lengths = np.array([60, 17, 17, 42])
    padded = X[:4].copy()
    for row, length in zip(padded, lengths, strict=True):
        row[length:] = np.nan
    ragged = [x[:length] for x, length in zip(X[:4], lengths, strict=True)]
    alone = np.concatenate([model.transform(x[None]) for x in ragged])
    np.testing.assert_allclose(model.transform(padded), alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.transform(ragged), alone, rtol=1e-5, atol=1e-6)
    steps = model.encode(padded)
    assert np.isnan(steps[1, 17:]).all()
    assert np.isfinite(steps[1, :17]).all()
    np.testing.assert_allclose(np.nanmax(steps, axis=1), alone, rtol=1e-5, atol=1e-6)
    assert transformer().fit(padded).transform(padded).shape == (4, 8)


def test_scales():
    shifted = 40 + 7 * X
    raw = transformer(scale="none").fit(X).transform(X)
    assert not np.allclose(raw, transformer(scale="none").fit(X).transform(shifted), atol=1e-2)
    train = transformer().fit(X).transform(X)
    np.testing.assert_allclose(transformer().fit(shifted).transform(shifted), train, atol=1e-3)
    own = transformer(scale="sample").fit(X)
    np.testing.assert_allclose(own.transform(shifted), own.transform(X), atol=1e-3)


@pytest.mark.parametrize("pooling", ["log_std", "last", "mean+log_std", "max+mean+log_std+last"])
def test_poolings_by_name(pooling, tmp_path):
    model = transformer(pooling=pooling).fit(X)
    short = X[:4].copy()
    short[1, 40:] = np.nan
    steps = model.encode(short)
    ends = [60, 40, 60, 60]
    cut = [torch.from_numpy(z[:end])[None] for z, end in zip(steps, ends, strict=True)]
    told = np.concatenate([pool_time(z, pooling).numpy() for z in cut])
    np.testing.assert_allclose(model.transform(short), told, atol=1e-4)
    width = 8 * len(pooling.split("+"))
    assert len(model.get_feature_names_out()) == told.shape[1] == width
    again = type(model).load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.transform(short), model.transform(short))
    assert classifier(pooling=pooling).fit(X, Y).predict_proba(X).shape == (24, 2)
    assert clusterer(pooling=pooling).fit(X).cluster_centers_.shape == (3, width)
    assert retrieval(pooling=pooling).fit(X, patient=PATIENT).embeddings_.shape == (24, width)


def test_random_state():
    draw = np.random.RandomState(3)
    one, two = (transformer(random_state=draw).fit_transform(X) for _ in range(2))
    assert not np.array_equal(one, two)
    again = transformer(random_state=np.random.RandomState(3)).fit_transform(X)
    np.testing.assert_array_equal(again, one)
    fresh = [transformer(random_state=None).fit_transform(X) for _ in range(2)]
    assert not np.array_equal(*fresh)


def test_stream_gives_the_embeddings_of_every_step():
    model = transformer().fit(40 + 7 * X)
    series = 40 + 7 * X[0]
    stream = model.stream()
    live = np.concatenate([stream.push(series[i : i + 7]) for i in range(0, 60, 7)])
    np.testing.assert_allclose(live, model.encode(series[None], causal=True)[0], atol=1e-5)
    with pytest.raises(InputError, match="scale"):
        transformer(scale="sample").fit(X).stream()


def test_embeddings_find_a_planted_direction_that_raw_values_hide():
    x, y = waves(160, steps=80, channels=1, seed=1)
    train, test = np.arange(80), np.arange(80, 160)
    found = classifier(**LEARN).fit(x[train], y[train]).score(x[test], y[test])
    flat = x.reshape(len(x), -1)
    baseline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    plain = baseline.fit(flat[train], y[train]).score(flat[test], y[test])
    assert found > 0.95
    assert plain < 0.7
    shuffled = np.random.default_rng(0).permutation(y[train])
    assert classifier(**LEARN).fit(x[train], shuffled).score(x[test], y[test]) < 0.7


def test_more_unlabelled_series_enter_pretraining_only():
    more = waves(40, steps=50, seed=5)[0]
    model = classifier(max_epochs=2).fit(X, Y, X_unlabelled=more)
    alone = classifier(max_epochs=2).fit(X, Y)
    assert not np.array_equal(model.predict_proba(X), alone.predict_proba(X))
    assert list(model.classes_) == [0, 1]
    with pytest.raises(DataError, match="2 channels"):
        classifier().fit(X, Y, X_unlabelled=more[:, :, :1])
    with pytest.raises(InputError, match="supervised"):
        classifier(loss="supcon").fit(X, Y, X_unlabelled=more)


def test_heads():
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    model = classifier(head=SVC()).fit(X, Y)
    assert not hasattr(model, "predict_proba")
    assert model.decision_function(X).shape == (24,)
    nearest = classifier(head=KNeighborsClassifier(1)).fit(X, np.array(["a", "b"])[Y])
    assert not hasattr(nearest, "decision_function")
    assert nearest.score(X, np.array(["a", "b"])[Y]) == 1.0


def test_embeddings_of_every_step_at_every_scale():
    X = np.random.default_rng(0).normal(size=(6, 20, 2))
    model = transformer().fit(X)
    steps, scales = model.encode(X), model.encode(X, pooling="multiscale")
    assert scales.shape == (6, 20, 5 * 8)  # 2^p + 1 < 20 for p = 0 to 4
    np.testing.assert_array_equal(scales[:, 4, :8], steps[:, 3:6].max(axis=1))
    X[0, 15:] = np.nan
    for wrong, options in ((X, {}), (X[1:], {"causal": True})):
        with pytest.raises(InputError, match="series of one length"):
            model.encode(wrong, pooling="multiscale", **options)
