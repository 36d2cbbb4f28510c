/** The packaged model: typed tensors in, typed tensors out, and everything between done as it was when it was measured. */

import { compare, readExample, type SelfTest } from "./example.js";
import { preprocess, type Picture } from "./preprocess.js";
import type { Runtime } from "./runtime.js";
import { toArtifact, toOriginal } from "./tensors.js";
import type { Contract, Tensor, TensorData } from "./types.js";

/** Threads that were measured, and those in force here; null where the runtime neither takes nor tells them. */
export interface Threads {
  readonly measured: number;
  readonly effective: number | null;
}

export interface Model<Inputs, Outputs> {
  readonly contract: Contract;
  readonly threads: Threads;
  /**
   * One inference. Calls wait for one another.
   *
   * @throws TypeError or RangeError when an input is missing, of another kind or of other sizes.
   */
  run(inputs: Inputs): Promise<Outputs>;
  /** Runs the stored example and compares with the stored output. */
  selfTest(): Promise<SelfTest>;
  /** Frees the model. Waits for what is running. */
  close(): Promise<void>;
}

/** A model whose recorded preprocessing takes pictures. */
export interface PictureModel<Inputs, Outputs> extends Model<Inputs, Outputs> {
  /** The input for one picture, as the model was calibrated with. */
  preprocess(picture: Picture): Tensor<Float32Array | Uint8Array>;
  /** `run` on the preprocessed picture. */
  runPicture(picture: Picture): Promise<Outputs>;
}

type Given = Readonly<Record<string, Tensor | TensorData>>;

/** `exampleBytes` gives the bytes of the stored example, when they are asked for. */
export function openModel<Inputs extends object, Outputs extends object>(
  contract: Contract, runtime: Runtime, exampleBytes: () => Promise<ArrayBuffer>,
): PictureModel<Inputs, Outputs> {
  return new LoadedModel<Inputs, Outputs>(contract, runtime, exampleBytes);
}

class LoadedModel<Inputs extends object, Outputs extends object> implements PictureModel<Inputs, Outputs> {
  readonly threads: Threads;
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    readonly contract: Contract, private readonly runtime: Runtime, private readonly exampleBytes: () => Promise<ArrayBuffer>,
  ) {
    this.threads = { measured: contract.runtime.threads, effective: runtime.threads };
  }

  async run(inputs: Inputs): Promise<Outputs> {
    const given = inputs as Given;
    const stored: Record<string, Tensor> = {};
    for (const map of this.contract.inputs) {
      const tensor = given[map.key];
      if (tensor === undefined) throw new TypeError(`the input ${map.key} is missing`);
      stored[map.artifactName] = toArtifact(tensor, map);
    }
    const found = await this.inTurn(() => this.runtime.run(stored));
    const outputs: Record<string, Tensor> = {};
    for (const map of this.contract.outputs) {
      const tensor = found[map.artifactName];
      if (tensor === undefined) throw new Error(`the runtime returned no output ${map.artifactName}`);
      outputs[map.key] = toOriginal(tensor, map);
    }
    return outputs as Outputs;
  }

  preprocess(picture: Picture): Tensor<Float32Array | Uint8Array> {
    const recorded = this.contract.preprocess;
    if (recorded === null) throw new TypeError("this model was not measured on pictures: it has no recorded preprocessing");
    return preprocess(picture, recorded);
  }

  runPicture(picture: Picture): Promise<Outputs> {
    const [input] = this.contract.inputs;
    return this.run({ [input.key]: this.preprocess(picture) } as Inputs);
  }

  async selfTest(): Promise<SelfTest> {
    const { example, tolerance } = this.contract;
    const bytes = await this.exampleBytes();
    const found = await this.run(readExample(example.inputs, bytes) as Inputs);
    return compare(found as Record<string, Tensor>, readExample(example.outputs, bytes), tolerance);
  }

  async close(): Promise<void> {
    await this.inTurn(() => this.runtime.close());
  }

  private inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.last.then(work);
    this.last = result.catch(() => undefined); // the caller has the error; the next call must not wait for it
    return result;
  }
}
