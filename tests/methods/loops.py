"""Deep hashing losses as nested loops over scalars, to compare against.

Labels are ints [n] or multi-hot rows [n][C], codes are rows [n][q], and
every loss is one Python float for the whole batch. Where the reference rows
are None the batch is its own reference. "All pairs" has the pair of a row
with itself, "other pairs" has not. A mean over nothing is 0.
"""

import math

import numpy as np


def rows_of(array):
    """The rows of a matrix as lists of Python floats."""
    return np.asarray(array, "float64").tolist()


def are_ints(labels):
    """Whether labels are one class number per image."""
    return np.ndim(labels) == 1


def label_sets(labels):
    """The set of class numbers of each image."""
    if are_ints(labels):
        return [{int(label)} for label in labels]
    return [{c for c, y in enumerate(row) if y > 0} for row in rows_of(labels)]


def shared(a, b):
    """How many labels two images share."""
    return len(a & b)


def similar(a, b):
    """1 if two images share a label, else 0."""
    return 1 if shared(a, b) > 0 else 0


def jaccard(a, b):
    """Shared labels over the union of the labels."""
    union = len(a | b)
    return shared(a, b) / union if union else 0.0


def cosine(a, b):
    """The cosine of two label vectors."""
    if not a or not b:
        return 0.0
    return shared(a, b) / math.sqrt(len(a) * len(b))


def sgn(x):
    """The sign, with +1 for 0."""
    return 1.0 if x >= 0 else -1.0


def softplus(x):
    """The logarithm of 1 + exp(x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def sigmoid(x):
    """The logistic function."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def log_cosh(x):
    """The logarithm of cosh(x)."""
    return abs(x) + math.log1p(math.exp(-2 * abs(x))) - math.log(2)


def pair_loss(theta, s):
    """l(theta, s) = log(1 + exp(theta)) - s * theta."""
    return softplus(theta) - s * theta


def mean(values):
    """The mean, 0 for no values."""
    values = list(values)
    total = 0.0
    for value in values:
        total += value
    return total / len(values) if values else 0.0


def dot(u, v):
    """The inner product."""
    total = 0.0
    for x, y in zip(u, v):
        total += x * y
    return total


def squared_distance(u, v):
    """The squared Euclidean distance."""
    total = 0.0
    for x, y in zip(u, v):
        total += (x - y) ** 2
    return total


def cos(u, v):
    """The cosine of two codes, 0 where one of them is zero."""
    norms = math.sqrt(dot(u, u)) * math.sqrt(dot(v, v))
    return dot(u, v) / norms if norms else 0.0


def hamming(u, v):
    """The relaxed Hamming distance (q - <u, v>) / 2."""
    return 0.5 * (len(u) - dot(u, v))


def element_mean(codes, function):
    """The mean of a function over all elements of all rows."""
    values = []
    for row in rows_of(codes):
        for x in row:
            values.append(function(x))
    return mean(values)


def row_sum_mean(codes, function):
    """The mean over the rows of the sum of a function over the elements."""
    values = []
    for row in rows_of(codes):
        total = 0.0
        for x in row:
            total += function(x)
        values.append(total)
    return mean(values)


def to_sign(x):
    """(sgn(x) - x)^2."""
    return (sgn(x) - x) ** 2


def to_one(x):
    """How far |x| is from 1."""
    return abs(abs(x) - 1)


def all_pairs(labels, codes, ref_labels, ref_codes, others=False):
    """List (labels i, labels j, u_i, v_j), or only the other pairs."""
    own = ref_codes is None
    sets, us = label_sets(labels), rows_of(codes)
    ref_sets = sets if own else label_sets(ref_labels)
    vs = us if own else rows_of(ref_codes)
    found = []
    for i in range(len(us)):
        for j in range(len(vs)):
            if others and own and i == j:
                continue
            found.append((sets[i], ref_sets[j], us[i], vs[j]))
    return found


def other_pairs(labels, codes, ref_labels, ref_codes):
    """`all_pairs` without the pair of a row with itself."""
    return all_pairs(labels, codes, ref_labels, ref_codes, others=True)


def all_triplets(labels, codes, ref_labels, ref_codes):
    """List (anchor, positive, negative) codes."""
    own = ref_codes is None
    sets, us = label_sets(labels), rows_of(codes)
    ref_sets = sets if own else label_sets(ref_labels)
    vs = us if own else rows_of(ref_codes)
    found = []
    for i in range(len(us)):
        for j in range(len(vs)):
            if (own and i == j) or not similar(sets[i], ref_sets[j]):
                continue
            for k in range(len(vs)):
                if not similar(sets[i], ref_sets[k]):
                    found.append((us[i], vs[j], vs[k]))
    return found


def dpsh(labels, codes, ref_labels=None, ref_codes=None, quantization=0.01):
    """DPSH: pair likelihood and distance to the sign."""
    losses = []
    for a, b, u, v in all_pairs(labels, codes, ref_labels, ref_codes):
        losses.append(pair_loss(0.5 * dot(u, v), similar(a, b)))
    return mean(losses) + quantization * row_sum_mean(codes, to_sign)


def dhn(labels, codes, ref_labels=None, ref_codes=None, quantization=0.2):
    """DHN: pair likelihood and log cosh(|u| - 1)."""
    losses = []
    for a, b, u, v in all_pairs(labels, codes, ref_labels, ref_codes):
        losses.append(pair_loss(dot(u, v), similar(a, b)))
    penalty = element_mean(codes, lambda x: log_cosh(abs(x) - 1))
    return mean(losses) + quantization * penalty


def isdh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    gamma=10.0,
    scale=5.0,
    quantization=0.1,
):
    """ISDH: likelihood of hard pairs, squared error of soft ones."""
    losses = []
    for a, b, u, v in all_pairs(labels, codes, ref_labels, ref_codes):
        c = cosine(a, b)
        theta = scale / len(u) * dot(u, v)
        if c > 0.99 or c < 0.01:
            losses.append(gamma * pair_loss(theta, c))
        else:
            losses.append((c - sigmoid(theta)) ** 2)
    return mean(losses) + quantization * element_mean(codes, to_one)


def idhn(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    gamma=0.1,
    scale=5.0,
    quantization=0.1,
):
    """IDHN: likelihood of hard pairs, squared error of soft ones."""
    losses = []
    for a, b, u, v in all_pairs(labels, codes, ref_labels, ref_codes):
        c = cosine(a, b)
        q = len(u)
        if c > 0.99 or c < 0.01:
            losses.append(pair_loss(scale / q * dot(u, v), c))
        else:
            losses.append(gamma * q * ((dot(u, v) + q) / (2 * q) - c) ** 2)
    return mean(losses) + quantization * element_mean(codes, to_one)


def hashnet(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    scale=None,
    weights="jaccard",
):
    """HashNet: weighted pair likelihood."""
    if scale is None:
        scale = 10 / len(codes[0])
    pairs = other_pairs(labels, codes, ref_labels, ref_codes)
    count = len(pairs)
    positives = 0
    for a, b, _, _ in pairs:
        positives += similar(a, b)
    total = weight_total = 0.0
    for a, b, u, v in pairs:
        s = similar(a, b)
        if weights == "jaccard":
            c = jaccard(a, b) if s else 1.0
        elif weights == "cosine":
            c = cosine(a, b) ** 2 if s else 0.25
        elif weights is None:
            c = 1.0
        else:
            raise ValueError(weights)
        w = c * count / (positives if s else count - positives)
        total += w * pair_loss(scale * dot(u, v), s)
        weight_total += w
    return total / weight_total if weight_total else 0.0


def dsh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    margin=None,
    quantization=0.01,
):
    """DSH: contrastive loss on squared distances."""
    if margin is None:
        margin = 2 * len(codes[0])
    losses = []
    for a, b, u, v in other_pairs(labels, codes, ref_labels, ref_codes):
        s, d = similar(a, b), squared_distance(u, v)
        losses.append(0.5 * s * d + 0.5 * (1 - s) * max(0.0, margin - d))
    return mean(losses) + quantization * row_sum_mean(codes, to_one)


def dmssph(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    level="jaccard",
    kappa=1.0,
    quantization=0.1,
    bounded=True,
    power=2,
    emphasis=5.0,
):
    """DMSSPH: distances pulled to what the level of similarity asks for."""
    if level not in ("jaccard", "shared"):
        raise ValueError(level)
    if bounded:
        codes = np.tanh(codes)
        ref_codes = None if ref_codes is None else np.tanh(ref_codes)
    margin = 2 * len(codes[0])
    soft_margin = kappa * margin / 2
    pairs = other_pairs(labels, codes, ref_labels, ref_codes)
    most = 1
    for a, b, _, _ in pairs:
        most = max(most, shared(a, b))
    total = weights = 0.0
    for a, b, u, v in pairs:
        grade = jaccard(a, b) if level == "jaccard" else shared(a, b) / most
        d = squared_distance(u, v)
        target = (1 - grade) * soft_margin
        if grade == 0:
            gap = max(0.0, margin - d)
        else:
            gap = max(0.0, d - target) + max(0.0, target - d)
        weight = 1 + emphasis * grade
        total += weight * 0.5 * gap**power / margin ** (power - 1)
        weights += weight
    pull = total / weights if weights else 0.0
    return pull + quantization * element_mean(codes, to_one)


def dtsh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    margin=None,
    quantization=0.004,
):
    """DTSH: triplet likelihood and distance to the sign."""
    if margin is None:
        margin = len(codes[0]) / 2
    losses = []
    for u, p, n in all_triplets(labels, codes, ref_labels, ref_codes):
        difference = 0.5 * dot(u, p) - 0.5 * dot(u, n) - margin
        losses.append(softplus(-difference))
    return mean(losses) + quantization * row_sum_mean(codes, to_sign)


def ninh(labels, codes, ref_labels=None, ref_codes=None, margin=1.0):
    """NINH: triplet hinge on squared distances of codes in [0, 1]."""
    losses = []
    for u, p, n in all_triplets(labels, codes, ref_labels, ref_codes):
        gap = squared_distance(u, p) - squared_distance(u, n)
        losses.append(max(0.0, margin + gap / 4))
    return mean(losses)


def dcc(labels_multi_hot, codes, eta=55.0, ridge=0.1, sweeps=10):
    """Binary codes of DSDH by discrete cyclic coordinate descent."""
    ys, us = rows_of(labels_multi_hot), rows_of(codes)
    n, q, num_classes = len(us), len(us[0]), len(ys[0])
    signs = [[sgn(x) for x in row] for row in us]
    gram = [[0.0] * q for _ in range(q)]
    right = [[0.0] * num_classes for _ in range(q)]
    for k in range(q):
        for j in range(q):
            for i in range(n):
                gram[k][j] += signs[i][k] * signs[i][j]
        gram[k][k] += ridge
        for c in range(num_classes):
            for i in range(n):
                right[k][c] += signs[i][k] * ys[i][c]
    weights = np.linalg.solve(np.array(gram), np.array(right)).tolist()
    target = []
    for i in range(n):
        row = []
        for k in range(q):
            row.append(eta * us[i][k] + dot(ys[i], weights[k]))
        target.append(row)
    binary = [[0.0] * q for _ in range(n)]
    for _ in range(sweeps):
        for k in range(q):
            for i in range(n):
                rest = 0.0
                for j in range(q):
                    if j != k:
                        rest += binary[i][j] * dot(weights[j], weights[k])
                binary[i][k] = sgn(target[i][k] - rest)
    return binary


def dsdh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    num_classes=None,
    quantization=0.011,
    eta=55.0,
    ridge=0.1,
    sweeps=10,
):
    """DSDH: pair likelihood and distance to the codes of `dcc`."""
    losses = []
    for a, b, u, v in all_pairs(labels, codes, ref_labels, ref_codes):
        losses.append(pair_loss(0.5 * dot(u, v), similar(a, b)))
    multi_hot = labels
    if are_ints(labels):
        if num_classes is None:
            num_classes = 1 + max(int(label) for label in labels)
        multi_hot = []
        for label in labels:
            multi_hot.append([float(c == label) for c in range(num_classes)])
    binary = dcc(multi_hot, codes, eta, ridge, sweeps)
    distances = []
    for b, u in zip(binary, rows_of(codes)):
        distances.append(squared_distance(b, u))
    return mean(losses) + quantization * mean(distances)


def dch(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    gamma=20.0,
    quantization=0.1,
):
    """DCH: Cauchy likelihood of cosine distances."""

    def distance(u, v):
        return len(u) / 2 * (1 - cos(u, v))

    pairs = other_pairs(labels, codes, ref_labels, ref_codes)
    positives = 0
    for a, b, _, _ in pairs:
        positives += similar(a, b)
    losses = []
    for a, b, u, v in pairs:
        d = distance(u, v)
        if similar(a, b):
            losses.append(len(pairs) / positives * math.log(1 + d / gamma))
        else:
            losses.append(math.log(1 + gamma / max(d, 1e-6)))
    penalties = []
    for u in rows_of(codes):
        d = distance([abs(x) for x in u], [1.0] * len(u))
        penalties.append(math.log(1 + d / gamma))
    return mean(losses) + quantization * mean(penalties)


def dsrh(labels, codes, margin=5.0, balance=None, list_size=None):
    """DSRH: triplet hinge weighted by gain, and balance of the queries."""
    sets, us = label_sets(labels), rows_of(codes)
    n, q = len(us), len(us[0])
    if balance is None:
        balance = 1 / n
    lists = []
    if list_size is None:
        for i in range(n):
            lists.append((i, [j for j in range(n) if j != i]))
    else:
        for i in range(0, n, 1 + list_size):
            lists.append((i, list(range(i + 1, i + 1 + list_size))))
    losses = []
    for i, others in lists:
        levels = {j: shared(sets[i], sets[j]) for j in others}
        ideal = 0.0
        for t, r in enumerate(sorted(levels.values(), reverse=True), 1):
            ideal += (2**r - 1) / math.log(1 + t)
        for a in others:
            for b in others:
                if levels[a] > levels[b]:
                    w = (2 ** levels[a] - 2 ** levels[b]) / ideal
                    gap = hamming(us[i], us[a]) - hamming(us[i], us[b])
                    losses.append(w * max(0.0, margin + gap))
    imbalance = 0.0
    for k in range(q):
        imbalance += mean(us[i][k] for i, _ in lists) ** 2
    return mean(losses) + balance / 2 * imbalance


def csq(labels, codes, centres, tie, quantization=0.05):
    """CSQ: binary cross-entropy to the centre of each image."""
    centres = rows_of(centres)
    losses = []
    for classes, row in zip(label_sets(labels), rows_of(codes)):
        for k in range(len(row)):
            total = 0.0
            for c in classes:
                total += centres[c][k]
            target = float(tie[k]) if total == 0 else sgn(total)
            target = (target + 1) / 2
            p = min(max((row[k] + 1) / 2, 1e-7), 1 - 1e-7)
            loss = -target * math.log(p)
            loss -= (1 - target) * math.log(1 - p)
            losses.append(loss if classes else 0.0)
    penalty = element_mean(codes, lambda x: (abs(x) - 1) ** 2)
    return mean(losses) + quantization * penalty


def dpn(labels, codes, centres, margin=1.0):
    """DPN: hinge of each bit to the centres of the image's classes."""
    centres = rows_of(centres)
    losses = []
    for classes, row in zip(label_sets(labels), rows_of(codes)):
        loss = 0.0
        for c in classes:
            for k in range(len(row)):
                loss += max(0.0, margin - row[k] * centres[c][k])
        losses.append(loss)
    return mean(losses)


def softmax_cross_entropy(labels, logits):
    """Mean cross-entropy to y / sum(y), 0 for images without labels."""
    losses = []
    for classes, row in zip(label_sets(labels), rows_of(logits)):
        largest = max(row)
        total = 0.0
        for z in row:
            total += math.exp(z - largest)
        loss = 0.0
        for c in classes:
            log_p = row[c] - largest - math.log(total)
            loss -= log_p / len(classes)
        losses.append(loss)
    return mean(losses)


def orthohash(labels, codes, centres, margin=0.2, scale=None):
    """OrthoHash: softmax of cosines to the centres, less a margin."""
    centres = rows_of(centres)
    if scale is None:
        scale = math.sqrt(len(codes[0]))
    logits = []
    for classes, u in zip(label_sets(labels), rows_of(codes)):
        row = []
        for c, centre in enumerate(centres):
            own = 1 if c in classes else 0
            row.append(scale * (cos(u, centre) - margin * own))
        logits.append(row)
    return softmax_cross_entropy(labels, logits)


def greedyhash(labels, codes, logits, quantization=0.1):
    """GreedyHash: softmax cross-entropy and ||u| - 1|^3."""
    penalty = element_mean(codes, lambda x: to_one(x) ** 3)
    return softmax_cross_entropy(labels, logits) + quantization * penalty


def dlbhc(labels, codes, logits):
    """DLBHC: the loss of the classifier alone."""
    return softmax_cross_entropy(labels, logits)


def ssdh(labels, codes, logits):
    """SSDH: `dlbhc`, bits far from one half, as many on as off."""
    spread = element_mean(codes, lambda x: ((x + 1) / 2 - 0.5) ** 2)
    balances = []
    for row in rows_of(codes):
        balances.append((mean((x + 1) / 2 for x in row) - 0.5) ** 2)
    return dlbhc(labels, codes, logits) - 0.5 * spread + 0.5 * mean(balances)


def hyp2(labels, codes, cosines, zeta, beta=0.5):
    """HyP2: proxies, and pairs of multi-label images that share nothing."""
    sets, us = label_sets(labels), rows_of(codes)
    positives, negatives, apart = [], [], []
    for classes, row in zip(sets, rows_of(cosines)):
        for c, value in enumerate(row):
            if c in classes:
                positives.append(1 - value)
            else:
                negatives.append(max(0.0, value - zeta))
    for i in range(len(us)):
        for j in range(i + 1, len(us)):
            if len(sets[i]) < 2 or len(sets[j]) < 2:
                continue
            if shared(sets[i], sets[j]) == 0:
                apart.append(max(0.0, cos(us[i], us[j]) - zeta))
    return mean(positives) + mean(negatives) + beta * mean(apart)


def talr(labels, codes, objective="ap", bins=None):
    """TALR: 1 - tie-aware average precision or NDCG on soft histograms."""
    if objective not in ("ap", "ndcg"):
        raise ValueError(objective)
    sets, us = label_sets(labels), rows_of(codes)
    n, q = len(us), len(us[0])
    if bins is None:
        bins = max(1, q // 2)
    delta = q / bins
    scores = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        levels = [shared(sets[i], sets[j]) for j in others]
        distances = [hamming(us[i], us[j]) for j in others]
        positives, ideal = 0, 0.0
        for rank, r in enumerate(sorted(levels, reverse=True), 1):
            positives += 1 if r > 0 else 0
            ideal += (2**r - 1) / math.log2(1 + rank)
        if positives == 0:
            continue
        score = 0.0
        before = positives_before = 0.0
        for t in range(bins + 1):
            here = positives_here = gain = 0.0
            for r, d in zip(levels, distances):
                pulse = max(0.0, 1 - abs(d - t * delta) / delta)
                here += pulse
                positives_here += pulse if r > 0 else 0.0
                gain += (2**r - 1) * pulse
            after = before + here
            positives_after = positives_before + positives_here
            if objective == "ap":
                hits = positives_before + positives_after + 1
                precision = hits / (before + after + 1)
                score += positives_here * precision / positives
            else:
                rank = before + (here + 1) / 2
                score += gain / math.log2(rank + 1) / ideal
            before, positives_before = after, positives_after
        scores.append(score)
    return 1 - mean(scores) if scores else 0.0


def dshc(labels, logits, owners, weights):
    """DSHC: softmax cross-entropy against the sub-classes of the class."""
    losses = []
    for label, row in zip(labels, rows_of(logits)):
        top = max(row)
        total = math.log(sum(math.exp(z - top) for z in row)) + top
        loss = 0.0
        for z, owner in zip(row, owners):
            if owner == label:
                loss -= weights[owner] * (z - total)
        losses.append(loss)
    return mean(losses)


def dshcmultilabel(labels, logits):
    """DSHC for several labels: mean binary cross-entropy over labels."""
    losses = []
    for classes, row in zip(label_sets(labels), rows_of(logits)):
        terms = []
        for c, z in enumerate(row):
            terms.append(pair_loss(z, 1 if c in classes else 0))
        losses.append(mean(terms))
    return mean(losses)


def mutualhash(labels, codes, peers, quantization=0.1, mutual=0.1, at=None):
    """MutualHash: pairs of two peers, which learn from each other as they are
    `at` a point."""

    def shares(rows, i):
        others = [math.exp(dot(rows[i], v) / 2) for v in rows]
        others[i] = 0.0
        return [e / sum(others) for e in others] if sum(others) else others

    total = 0.0
    both = [rows_of(codes), rows_of(peers)]
    fixed = both if at is None else [rows_of(rows) for rows in at]
    for rows, other in zip(both, fixed[::-1]):
        total += dpsh(labels, rows, quantization=quantization)
        divergences = []
        for i in range(len(rows)):
            p, q = shares(rows, i), shares(other, i)
            divergences.append(
                sum(b * math.log(b / a) for a, b in zip(p, q) if b > 0)
            )
        total += mutual * mean(divergences)
    return total


def dhd(
    labels,
    codes,
    cosines,
    temperature=0.2,
    distillation=0.1,
    quantization=0.1,
    deviation=0.5,
    at=None,
):
    """DHD: proxies for the first view, whose code, as it is `at` a point, the
    second one learns."""
    rows = rows_of(codes)
    count = len(rows) // 2
    teachers = rows if at is None else rows_of(at)
    logits = [[c / temperature for c in row] for row in rows_of(cosines)]
    total = softmax_cross_entropy(labels, logits[:count])
    total += distillation * mean(
        [1 - cos(v, t) for v, t in zip(rows[count:], teachers)]
    )
    bits = []
    for row in rows[:count]:
        for x in row:
            up = math.exp(-(((x - 1) / deviation) ** 2) / 2)
            down = math.exp(-(((x + 1) / deviation) ** 2) / 2)
            if x < 0:
                up, down = down, up
            bits.append(-math.log(up) - math.log(1 - down))
    return total + quantization * mean(bits)


def mdshc(labels, codes, centres, pairs=1.0, quantization=1e-4, refs=None):
    """MDSHC: cosines with centres, and similar pairs."""
    centres, terms = rows_of(centres), []
    for classes, u in zip(label_sets(labels), rows_of(codes)):
        scores = [math.sqrt(len(u)) * cos(u, h) for h in centres]
        total = sum(math.exp(z) for z in scores)
        for c, z in enumerate(scores):
            right = math.exp(z) / total
            terms.append(-math.log(right if c in classes else 1 - right))
    near = [
        softplus((1 - cos(u, v)) / 2)
        for a, b, u, v in all_pairs(labels, codes, *(refs or (None, None)))
        if similar(a, b)
    ]
    penalty = element_mean(codes, lambda x: to_one(x) ** 2)
    value = sum(terms) / len(codes) + pairs * mean(near)
    return value + quantization * penalty


def vdsh(labels, codes, logits):
    """VDSH: squared errors of the regressed labels."""
    losses = []
    for classes, row in zip(label_sets(labels), rows_of(logits)):
        for c, z in enumerate(row):
            losses.append((z - (1 if c in classes else 0)) ** 2)
    return sum(losses) / len(logits)


def halves(rows):
    """Rows i and i + n/2 as pairs: two images, or two views of one."""
    rows = rows_of(rows)
    return list(zip(rows[: len(rows) // 2], rows[len(rows) // 2 :]))


def ntxent(codes, temperature):
    """The contrastive loss: the other view of an image among all rows."""
    rows = rows_of(codes)
    n = len(rows) // 2
    losses = []
    for i in range(2 * n):
        total = 0.0
        for j in range(2 * n):
            if j != i:
                total += math.exp(cos(rows[i], rows[j]) / temperature)
        pair = cos(rows[i], rows[(i + n) % (2 * n)]) / temperature
        losses.append(math.log(total) - pair)
    return mean(losses)


def cimon(
    codes, similar=None, confidence=None, at=None, eta=0.3, temperature=0.5
):
    """CIMON: trusted similarities of pairs, and contrast of the views."""
    loss = eta * ntxent(codes, temperature)
    if similar is None:
        return loss
    for view in zip(*halves(codes)):
        for signs, weights in zip(
            map(rows_of, similar), map(rows_of, confidence)
        ):
            gaps = []
            for i, u in enumerate(view):
                for j, v in enumerate(view):
                    gap = dot(u, v) / len(u) - signs[i][j]
                    gaps.append(weights[i][j] * gap**2)
            loss += mean(gaps)
    return loss


def cimon_targets(features, clusters, threshold=0.1):
    """CIMON: similarities and confidences of all pairs, mode and spreads."""
    rows = rows_of(features)
    n = len(rows)
    d = [
        [0.0 if i == j else 1 - cos(rows[i], rows[j]) for j in range(n)]
        for i in range(n)
    ]
    every = [x for row in d for x in row]
    counts = [0] * 100
    for x in every:
        for k in range(100):
            counts[k] += k / 100 < x < (k + 1) / 100
    mode = counts.index(max(counts)) / 100
    spreads = []
    for half in (
        [x for x in every if x <= mode],
        [x for x in every if x > mode],
    ):
        spreads.append(math.sqrt(mean((x - mode) ** 2 for x in half)))

    def normal(x, spread):
        return (1 + math.erf((x - mode) / spread / math.sqrt(2))) / 2

    left, right = spreads
    similar = [[1.0 if x <= threshold else -1.0 for x in row] for row in d]
    confidence = []
    for i in range(n):
        row = []
        for j in range(n):
            if d[i][j] <= threshold:
                least = normal(threshold, left)
                sure = (least - normal(d[i][j], left)) / least
            else:
                most = normal(threshold, right)
                sure = (normal(d[i][j], right) - most) / (1 - most)
            together = clusters[i] == clusters[j]
            agree = together == (d[i][j] <= threshold)
            row.append(min(max(sure, 0.0), 1.0) * agree)
        confidence.append(row)
    return similar, confidence, (mode, left, right)


def dslh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    num_classes=3,
    correction=0.4,
    quantization=200.0,
    evenness=50.0,
    balance="square",
):
    """DSLH: similarities by given and by corrected labels, which may stand
    beside them; the two kinds of pairs weigh the same."""
    codes = rows_of(codes)
    n, q = len(codes), len(codes[0])
    if ref_codes is None:
        ref_labels, ref_codes = labels, codes
    total = 0.0
    for side, share in ((0, 1 - correction), (1, correction)):
        sets = []
        for some in (labels, ref_labels):
            if np.ndim(some) == 2 and np.shape(some)[1] == 2 * num_classes:
                some = np.split(np.asarray(some), 2, axis=1)[side]
            sets.append(label_sets(some))
        same = [[similar(a, b) for b in sets[1]] for a in sets[0]]
        positive = sum(sum(row) for row in same)
        negative = n * len(ref_codes) - positive
        gaps = []
        for i, u in enumerate(codes):
            for j, v in enumerate(rows_of(ref_codes)):
                target = 1.0 if same[i][j] else -positive / negative
                product = sum(math.tanh(x) * math.tanh(y) for x, y in zip(u, v))
                gaps.append((q * target - product) ** 2 / 2)
        total += share * mean(gaps)
    size = len(ref_codes)
    signs = [sum(to_one(x) ** 2 for x in u) for u in codes]
    total += quantization / size * mean(signs)
    if balance == "linear":
        return total + evenness / size * mean(sum(u) for u in codes)
    means = [mean(u[k] for u in codes) for k in range(q)]
    return total + evenness / size * sum(m**2 for m in means)
