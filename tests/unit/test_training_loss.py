"""The loss: MaxSim and codes against references, PyLate's loss as a special case, and the trainer."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from tiny import WORDS, unit

from harness.config import entries
from harness.models.checkpoint import load as load_model
from harness.models.checkpoint import locate
from harness.training.codes import MuveraCodes, SmveCodes
from harness.training.loss import STEContrastive, TokenMeans, maxsim

BARE = torch.nn.Sequential(torch.nn.Identity())  # a backbone and no head: token vectors are only normalized


@pytest.fixture
def groups(rng):
    """Three queries, their positives, and two groups of negatives: unit vectors [tokens, 8] of 1 to 12 tokens."""
    lengths = [(4, 7, 1), (9, 3, 12), (5, 1, 6), (2, 8, 3)]
    return [[unit(rng, length, 8, cone=0.5) for length in group] for group in lengths]


def padded(texts, value=0.0):
    mask = torch.arange(max(map(len, texts))) < torch.tensor([[len(text)] for text in texts])
    tokens = torch.full((*mask.shape, texts[0].shape[1]), value)
    tokens[mask] = torch.from_numpy(np.concatenate(texts))
    return tokens, mask


def features(texts):
    tokens, mask = padded(texts)
    return {"token_embeddings": tokens, "attention_mask": mask.long()}


def loss_of(codes, means, alpha, model=BARE):
    return STEContrastive(model, codes, means, alpha, temperature=0.5, code_temperature=0.2)


@pytest.mark.parametrize("piece", [1, 100, 1 << 26])
@pytest.mark.parametrize("sign", [1, -1])
def test_maxsim_equals_the_reference(groups, monkeypatch, sign, piece):
    """In pieces of any size; with a minus, every similarity of the cone's vectors is negative."""
    monkeypatch.setattr("harness.training.loss._PIECE", piece)
    queries = [np.abs(text) for text in groups[0]]
    documents = [sign * np.abs(text) for text in groups[1] + groups[2]]
    wanted = [[reference.maxsim(query, document) for document in documents] for query in queries]
    assert (np.sign(wanted) == sign).all()
    found = maxsim(*padded(queries, value=5.0), *padded(documents, value=5.0))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("piece", [1, 1 << 26])
def test_maxsim_gradients_are_finite_differences(groups, rng, monkeypatch, piece):
    """Gradients of both sides, in float64; none reaches padding."""
    monkeypatch.setattr("harness.training.loss._PIECE", piece)
    (queries, query_mask), (docs, docs_mask) = padded(groups[0], 5.0), padded(groups[1], 5.0)
    queries, docs = queries.double().requires_grad_(), docs.double().requires_grad_()
    weights = rng.standard_normal((3, 3))
    (maxsim(queries, query_mask, docs, docs_mask) * torch.from_numpy(weights)).sum().backward()
    for side, (tokens, mask) in enumerate(((queries, query_mask), (docs, docs_mask))):
        for row, text in enumerate(groups[side]):

            def score(changed, side=side, row=row):
                pairs = [(weights[row, d], changed, groups[1][d]) for d in range(3)]
                pairs = pairs if side == 0 else [(weights[q, row], groups[0][q], changed) for q in range(3)]
                return sum(weight * reference.maxsim(query, doc) for weight, query, doc in pairs)

            np.testing.assert_allclose(tokens.grad[row][mask[row]], reference.gradient(score, text), atol=1e-6)
        assert (tokens.grad[~mask] == 0).all()


def term(scores, queries, temperature):
    """The contrastive loss of scores [queries, docs] divided by lengths and temperature."""
    return reference.contrastive(
        [[s / len(query) / temperature for s in row] for row, query in zip(scores, queries, strict=True)]
    )


@pytest.mark.parametrize("center", ["none", "corpus", "own"])
def test_both_terms_equal_the_references(groups, center):
    """From token vectors on, with two groups of negatives: centered codes, MaxSim of the vectors themselves."""
    queries, documents = groups[0], [text for group in groups[1:] for text in group]
    codes = MuveraCodes(8, 3, 2, 4, 1, 10.0)
    found = loss_of(codes, TokenMeans(8, center, 0.9), 0.25)([features(group) for group in groups])
    scores = [[reference.maxsim(query, document) for document in documents] for query in queries]
    assert found["maxsim"].item() == pytest.approx(0.75 * term(scores, queries, 0.5), rel=1e-5)
    zero, mu_d, mu_q = np.zeros(8), reference.token_mean(documents), reference.token_mean(queries)
    of_queries = {"none": zero, "corpus": mu_d, "own": mu_q}[center]
    of_documents = zero if center == "none" else mu_d
    planes, signs = codes.planes.numpy().reshape(8, 3, 2), codes.projections.numpy().reshape(8, 3, 4)
    asked = [reference.muvera_query(reference.center(text, of_queries), planes, signs) for text in queries]
    given = [reference.muvera_document(reference.center(text, of_documents), planes, signs) for text in documents]
    scores = [[reference.dot(query, document) / codes.unit for document in given] for query in asked]
    assert found["codes"].item() == pytest.approx(0.25 * term(scores, queries, 0.2), rel=1e-4)


def test_alpha_weighs_the_terms(groups):
    batch = [features(group) for group in groups]
    codes = SmveCodes(8, 40, 3, 1, "gaussian", 1, 10.0)
    maxsim_only, codes_only, both = (
        loss_of(codes, TokenMeans(8, "own", 0.9), alpha)(batch) for alpha in (0.0, 1.0, 0.3)
    )
    assert list(maxsim_only) == ["maxsim"] and list(codes_only) == ["codes"] and set(both) == {"maxsim", "codes"}
    wanted = 0.7 * maxsim_only["maxsim"] + 0.3 * codes_only["codes"]
    assert sum(both.values()).item() == pytest.approx(wanted.item(), rel=1e-6)


def test_every_group_of_negatives_counts(groups):
    loss = loss_of(None, TokenMeans(8, "none", 0.9), 0.0)
    found = [loss([features(group) for group in groups[:last]])["maxsim"].item() for last in (2, 3, 4)]
    assert found == sorted(found) and len(set(found)) == 3


def test_means_run_over_batches(groups):
    """The first batch's mean, then 0.9 of it and 0.1 of the next; a batch's mean is that of its tokens."""
    means, own = TokenMeans(8, "own", 0.9), TokenMeans(8, "own", 0.0)
    wanted = {}
    for queries, documents in ((groups[0], groups[1]), (groups[2], groups[3])):
        for one in (means, own):
            one.update(*padded(queries, 9.0), *padded(documents, 9.0))
        for name, texts in (("queries", queries), ("documents", documents)):
            mean = np.concatenate(texts).mean(axis=0)
            wanted[name] = 0.9 * wanted[name] + 0.1 * mean if name in wanted else mean
            np.testing.assert_allclose(getattr(means, name), wanted[name], atol=1e-6)
            np.testing.assert_allclose(getattr(own, name), mean, atol=1e-6)


def test_what_each_centering_subtracts(groups):
    found = {center: TokenMeans(8, center, 0.9) for center in ("none", "corpus", "own")}
    for means in found.values():
        means.update(*padded(groups[0]), *padded(groups[1]))
    mu_q, mu_d = (torch.from_numpy(np.concatenate(texts).mean(axis=0)) for texts in groups[:2])
    zero = torch.zeros(8)
    for center, wanted in {"none": (zero, zero), "corpus": (mu_d, mu_d), "own": (mu_q, mu_d)}.items():
        torch.testing.assert_close(found[center].shifts(), wanted)


def test_means_are_taken_in_training_only_and_are_kept_with_the_state(groups):
    loss = loss_of(MuveraCodes(8, 2, 2, 4, 1, 10.0), TokenMeans(8, "own", 0.9), 0.5)
    batch = [features(group) for group in groups]
    loss.eval()(batch)
    assert not loss.means.seen and not loss.means.documents.any()
    loss.train()(batch)
    assert loss.means.seen == 1 and loss.means.documents.any()
    other = TokenMeans(8, "own", 0.9)
    other.load_state_dict(loss.means.state_dict())
    torch.testing.assert_close(other.shifts(), loss.means.shifts())
    assert other.seen == 1


def colbert(path, **changes):
    """The tiny model."""
    options = {**entries.entry("model", "local"), "name": "tiny", "path": str(path), **changes}
    return load_model(options, locate(options, None), torch.device("cpu"), 12)


def texts_of(seed, words=(3, 12)):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, int(rng.integers(*words)))) + " ." for _ in range(6)]


def rows_of(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("expansion", [True, False])
def test_alpha_0_is_pylates_contrastive_loss(lateon_like, expansion):
    """PyLate's scores are sums over query tokens, ours means. Documents are full: its padding scores 0."""
    from pylate.losses import Contrastive
    from pylate.utils import ColBERTCollator

    model = colbert(lateon_like, query_expansion=expansion, document_length=10)
    columns = {
        "query": texts_of(1, (5, 6)),
        **{name: texts_of(len(name), (9, 12)) for name in ("positive", "n_1", "n_10")},
    }
    batch = ColBERTCollator(model.tokenize)(rows_of(columns))
    split = [{k.removeprefix(f"{name}_"): v for k, v in batch.items() if k.startswith(f"{name}_")} for name in columns]
    ours = STEContrastive(model, None, TokenMeans(16, "none", 0.0), 0.0, 0.05, 0.05)
    tokens = 12 if expansion else 9  # five words and a full stop; [CLS] [Q] [SEP]
    assert (ours._tokens(split[0], True)[1].sum(dim=1) == tokens).all() and ours._tokens(split[1], False)[1].all()
    theirs = Contrastive(model, temperature=tokens * 0.05)
    assert ours(split)["maxsim"].item() == pytest.approx(theirs(split).item(), rel=1e-5)


@pytest.mark.parametrize("expansion", [True, False])
def test_tokens_are_those_that_are_evaluated(lateon_like, expansion):
    """In padded batches, as in `harness.vectors.forward`: expanded queries, documents without punctuation."""
    from harness.vectors.forward import vectors

    model = colbert(lateon_like, query_expansion=expansion).eval()
    loss = loss_of(None, TokenMeans(16, "none", 0.0), 0.0, model)
    for is_query in (True, False):
        texts = texts_of(5)
        tokens, mask = loss._tokens(model.tokenize(texts, is_query=is_query, pad=True), is_query)
        for row, kept, wanted in zip(tokens, mask, vectors(model, texts, is_query, 1000), strict=True):
            np.testing.assert_allclose(row[kept].detach(), wanted, atol=1e-5)


@pytest.mark.parametrize("negatives", [0, 2])
def test_it_trains_in_sentence_transformers(lateon_like, tmp_path, negatives):
    from datasets import Dataset
    from pylate.utils import ColBERTCollator
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    model = colbert(lateon_like)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    columns = {
        "query": texts_of(1),
        "positive": texts_of(2),
        **{f"negative_{i}": texts_of(i + 3) for i in range(negatives)},
    }
    means = TokenMeans(16, "own", 0.9)
    loss = STEContrastive(model, SmveCodes(16, 40, 4, 1, "gaussian", 1, 10.0), means, 0.5, 0.05, 0.05)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=3,
        learning_rate=1e-3,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        save_strategy="no",
    )
    trainer = SentenceTransformerTrainer(
        model,
        arguments,
        train_dataset=Dataset.from_dict(columns),
        loss=loss,
        data_collator=ColBERTCollator(model.tokenize),
    )
    trainer.train()
    after = model.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert all((after[name] != before[name]).any() for name in ("1.linear.weight", "3.linear.weight"))
    assert any((after[name] != before[name]).any() for name in after if name.startswith("0."))
    assert means.seen == 2 and {"maxsim", "codes", "loss"} <= set(trainer.state.log_history[0])
