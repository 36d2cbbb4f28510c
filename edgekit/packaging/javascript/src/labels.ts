/** From scores to labels. */

import type { Contract, Tensor } from "./types.js";

export interface Ranked {
  readonly index: number;
  /** The label of this class; its number where the package has no labels. */
  readonly label: string;
  readonly score: number;
}

/**
 * The `count` highest scores of an output whose last axis are the classes, best first; of equal ones the first comes first.
 *
 * The scores are what the model gives: they are probabilities only where it ends in a softmax.
 */
export function best(output: Tensor, labels: Contract["labels"], count = 5): Ranked[] {
  const scores = Array.from(output.data as ArrayLike<number | bigint>, Number);
  return scores
    .map((score, index) => ({ index, label: labels?.[index] ?? String(index), score }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, count);
}
