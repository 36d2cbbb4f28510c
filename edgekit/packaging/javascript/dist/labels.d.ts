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
export declare function best(output: Tensor, labels: Contract["labels"], count?: number): Ranked[];
