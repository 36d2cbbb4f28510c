/** Inputs as text: whole or decimal numbers, for models whose input is neither a picture nor too long to type. */

import { sizeOf, zeros } from "../tensors.js";
import type { Contract, Tensor, TensorMap } from "../types.js";
import { element } from "./page.js";

const MOST_NUMBERS = 4096;

/** Whether every input is short enough, and of numbers that text can say. */
export function canBeTyped(contract: Contract): boolean {
  return contract.inputs.every(({ shape, dtype }) => dtype !== "float16" && sizeOf(shape.map((size) => size ?? 1)) <= MOST_NUMBERS);
}

export class NumberFields {
  private readonly fields: readonly (readonly [TensorMap, HTMLTextAreaElement])[];

  constructor(form: HTMLElement, maps: readonly TensorMap[], private readonly like: Readonly<Record<string, Tensor>>) {
    this.fields = maps.map((map) => {
      const label = element("label", `${map.name}: ${map.dtype}, ${map.shape.map((size) => size ?? "any").join(" × ")}`);
      const field = document.createElement("textarea");
      field.rows = 3;
      field.spellcheck = false;
      field.value = Array.from(like[map.key].data as ArrayLike<number | bigint>, String).join(" ");
      label.append(field);
      form.append(label);
      return [map, field] as const;
    });
  }

  /** @throws RangeError for what is no number, or too many or too few of them. */
  inputs(): Record<string, Tensor> {
    return Object.fromEntries(this.fields.map(([map, field]) => [map.key, this.read(map, field.value)]));
  }

  private read(map: TensorMap, text: string): Tensor {
    const words = text.split(/[\s,;]+/).filter((word) => word !== "");
    const dims = this.dims(map, words.length);
    const data = zeros(map.dtype, words.length);
    for (const [i, word] of words.entries()) {
      if (!Number.isFinite(Number(word))) throw new RangeError(`${map.name}: “${word}” is no number`);
      if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
        if (!/^-?\d+$/.test(word)) throw new RangeError(`${map.name}: “${word}” is no whole number`);
        data[i] = BigInt(word);
      } else {
        data[i] = Number(word);
      }
    }
    return { data, dims };
  }

  /** The sizes for that many numbers: the last free axis takes them, other free ones are as in the example. */
  private dims(map: TensorMap, count: number): number[] {
    const known = this.like[map.key].dims.map((size, axis) => map.shape[axis] ?? size);
    const free = map.shape.lastIndexOf(null);
    const rest = sizeOf(known.filter((_, axis) => axis !== free));
    const size = free < 0 ? 1 : count / rest;
    if (rest * size !== count || !Number.isInteger(size) || size < 1) {
      throw new RangeError(`${map.name} has ${count} numbers; ${free < 0 ? rest : `a multiple of ${rest}`} are needed`);
    }
    return known.map((existing, axis) => (axis === free ? size : existing));
  }
}
