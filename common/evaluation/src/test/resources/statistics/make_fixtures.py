"""Writes statistics.json beside this file: what statsmodels and SciPy say. Made with statsmodels 0.15.0, SciPy 1.17.1.

Wilson and McNemar are statsmodels' own. statsmodels has no interval for paired shares: Tango's is found here by SciPy
from its definition, the score test inverted, with the restricted maximum of the likelihood searched numerically. The
bootstrap's resamples are drawn as java.util.Random draws them, and SciPy makes the BCa interval of them.
"""
import json
import math
import pathlib

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 5000


def tango(b, c, n, confidence):
    z = stats.norm.isf((1 - confidence) / 2)

    def score(d):
        # The trinomial likelihood of b, c and the rest, with p_b = p_c + d.
        low, high = max(0.0, -d), (1 - d) / 2

        def negative(p_c):
            p_b, rest = p_c + d, 1 - 2 * p_c - d
            total = 0.0
            for count, p in ((b, p_b), (c, p_c), (n - b - c, rest)):
                if count:
                    total -= count * math.log(max(p, 1e-300))
            return total

        p_c = optimize.minimize_scalar(negative, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
        if b == 0 and c == 0:
            p_c = low
        variance = n * (2 * p_c + d - d * d)
        return (b - c - n * d) / math.sqrt(max(variance, 1e-300))

    estimate = (b - c) / n
    lower = -1.0 if c == n else optimize.brentq(lambda d: score(d) - z, -1 + 1e-12, estimate - 1e-12, xtol=1e-12)
    upper = 1.0 if b == n else optimize.brentq(lambda d: score(d) + z, estimate + 1e-12, 1 - 1e-12, xtol=1e-12)
    return lower, upper


class JavaRandom:
    def __init__(self, seed):
        self.state = (seed ^ 0x5DEECE66D) & ((1 << 48) - 1)

    def below(self, bound):
        r = self.next31()
        if bound & (bound - 1) == 0:
            return (bound * r) >> 31
        while r - r % bound + bound - 1 >= 1 << 31:
            r = self.next31()
        return r % bound

    def next31(self):
        self.state = (self.state * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        return self.state >> 17


class Drawn:
    """What scipy.stats.bootstrap takes as an earlier result."""

    def __init__(self, distribution):
        self.bootstrap_distribution = distribution


def bca(data, statistic, confidence):
    n = len(data[0])
    random = JavaRandom(42)
    distribution = []
    for _ in range(RESAMPLES):
        rows = [random.below(n) for _ in range(n)]
        distribution.append(statistic(*(np.asarray(d)[rows] for d in data)))
    result = stats.bootstrap(data, statistic, n_resamples=0, paired=True, vectorized=False, method="BCa",
                             confidence_level=confidence, bootstrap_result=Drawn(np.array(distribution)))
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def mean(values, weights):
    return np.sum(values) / np.sum(weights)


def difference(values, weights, other, other_weights):
    return mean(values, weights) - mean(other, other_weights)


out = {"wilson": [], "mcnemar": [], "tango": [], "mean": [], "difference": []}
for successes, n, confidence in [(0, 64, .95), (64, 64, .95), (1, 64, .95), (32, 64, .9), (88, 200, .99), (0, 1, .95),
                                 (1, 1, .95), (1319, 1319, .95), (700, 1319, .999)]:
    low, high = proportion_confint(successes, n, 1 - confidence, "wilson")
    out["wilson"].append({"successes": successes, "rows": n, "confidence": confidence,
                          "lower": float(low), "upper": float(high)})
for b, c in [(0, 0), (1, 0), (0, 6), (9, 3), (12, 1), (40, 40), (30, 61)]:
    out["mcnemar"].append({"only_first": b, "only_second": c,
                           "p": float(mcnemar([[5, b], [c, 7]], exact=True).pvalue)})
for b, c, n, confidence in [(0, 0, 64, .95), (1, 0, 64, .95), (0, 1, 64, .95), (9, 3, 64, .95), (12, 2, 14, .95),
                            (64, 0, 64, .95), (0, 64, 64, .95), (12, 43, 200, .9), (30, 61, 1319, .99), (1, 1, 2, .95)]:
    low, high = tango(b, c, n, confidence)
    out["tango"].append({"only_first": b, "only_second": c, "rows": n, "confidence": confidence,
                         "lower": low, "upper": high})
rng = np.random.default_rng(7)
tokens = [float(t) for t in rng.integers(5, 60, 24)]
loss = [round(float(x), 4) for x in rng.gamma(2, .8, 24) * tokens]
after = [round(float(x), 4) for x in np.array(loss) * rng.uniform(.7, 1.05, 24)]
# Not rounded: where a resample equals the estimate, rounding of the last bit decides on which side it counts.
rouge = [float(x) for x in rng.beta(.6, 2, 40)]
one = [1.0] * 40
for values, weights, confidence in [(loss, tokens, .95), (rouge, one, .95), (rouge, one, .99)]:
    low, high = bca((values, weights), mean, confidence)
    out["mean"].append({"values": values, "weights": weights, "confidence": confidence, "lower": low, "upper": high})
low, high = bca((loss, tokens, after, tokens), difference, .95)
out["difference"].append({"values": loss, "weights": tokens, "other": after, "other_weights": tokens,
                          "confidence": .95, "lower": low, "upper": high})
pathlib.Path(__file__).with_name("statistics.json").write_text(json.dumps(out, indent=1) + "\n")
