/** From scores to labels. */
/**
 * The `count` highest scores of an output whose last axis are the classes, best first; of equal ones the first comes first.
 *
 * The scores are what the model gives: they are probabilities only where it ends in a softmax.
 */
export function best(output, labels, count = 5) {
    const scores = Array.from(output.data, Number);
    return scores
        .map((score, index) => ({ index, label: labels?.[index] ?? String(index), score }))
        .sort((a, b) => b.score - a.score || a.index - b.index)
        .slice(0, count);
}
