"""Data sets as the programs read them: `<name>.base.f16.npy`, `<name>.queries.f16.npy` and `<name>.gt100.u32.npy`."""

import numpy as np

TRUTH_WIDTH = 100
QUERIES = 1_000


def write(folder, name, base, queries):
    """Writes unit vectors, queries and, by brute force, the exact neighbours of each query."""
    folder.mkdir(parents=True, exist_ok=True)
    stored, asked = base.astype(np.float16), queries.astype(np.float16)
    np.save(folder / f"{name}.base.f16.npy", stored)
    np.save(folder / f"{name}.queries.f16.npy", asked)
    np.save(folder / f"{name}.gt100.u32.npy", nearest(stored, asked))


def part_of_wordnet(source, folder, rows):
    """The first rows of the WordNet set as a set of their own."""
    base = np.load(source / "wordnet.base.f16.npy", mmap_mode="r")[:rows]
    write(folder, "wordnet", np.array(base), np.load(source / "wordnet.queries.f16.npy"))


def nearest(base, queries, chunk=50_000):
    """`[queries x TRUTH_WIDTH]` rows by cosine, best first. Looks at a chunk of the base at a time."""
    asked = unit(queries)
    best = np.full((len(asked), TRUTH_WIDTH), -np.inf, np.float32)
    rows = np.zeros((len(asked), TRUTH_WIDTH), np.uint32)
    for first in range(0, len(base), chunk):
        scores = np.concatenate([best, asked @ unit(base[first : first + chunk]).T], axis=1)
        known = np.arange(first, min(first + chunk, len(base)), dtype=np.uint32)
        candidates = np.concatenate([rows, np.broadcast_to(known, (len(asked), len(known)))], axis=1)
        order = np.argpartition(-scores, TRUTH_WIDTH - 1, axis=1)[:, :TRUTH_WIDTH]
        best, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(candidates, order, 1)
    order = np.argsort(-best, axis=1, kind="stable")
    return np.take_along_axis(rows, order, 1)


def unit(rows):
    wide = np.asarray(rows, np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def synthetic(count, dimension, seed=1, queries=QUERIES):
    """(base, queries): vectors with the traits of embeddings that make a graph's work what it is.

    - Clusters, one per about 250 points, whose sizes follow a power law (weights 1 / rank): few topics hold much of a
      text collection. Their centres are themselves a mixture around fewer, broader themes.
    - Low intrinsic dimension: within a cluster points vary along 32 directions of its theme, with falling variances.
    - Noise in all dimensions, so that no direction is empty.
    - Unit length. Queries come from the same distribution by draws of their own: none of them is in the base.
    """
    random = np.random.default_rng(seed)
    clusters = max(count // 250, 8)
    themes = max(int(clusters**0.5), 2)
    intrinsic = 32
    theme_centres = unit(random.standard_normal((themes, dimension)))
    directions = random.standard_normal((themes, intrinsic, dimension), np.float32) / dimension**0.5
    spread = (np.arange(1, intrinsic + 1) ** -0.25).astype(np.float32)
    theme_of = random.integers(themes, size=clusters)
    scatter = unit(random.standard_normal((clusters, dimension)))
    centres = unit(theme_centres[theme_of] + 0.8 * scatter)
    weights = 1.0 / np.arange(1, clusters + 1)
    weights /= weights.sum()

    def draw(number):
        rows = np.empty((number, dimension), np.float16)
        for first in range(0, number, 20_000):
            chosen = random.choice(clusters, size=min(20_000, number - first), p=weights)
            within = random.standard_normal((len(chosen), intrinsic), np.float32) * spread
            made = centres[chosen] + 0.05 * random.standard_normal((len(chosen), dimension), np.float32)
            for theme in np.unique(theme_of[chosen]):
                of_theme = theme_of[chosen] == theme
                made[of_theme] += 0.6 * within[of_theme] @ directions[theme]
            rows[first : first + len(chosen)] = unit(made)
        return rows

    return draw(count), draw(queries)
