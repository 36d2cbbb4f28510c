/** The packaged model: typed tensors in, typed tensors out, and everything between done as it was when it was measured. */
import { type SelfTest } from "./example.js";
import { type Picture } from "./preprocess.js";
import type { Runtime } from "./runtime.js";
import type { Contract, Tensor } from "./types.js";
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
/** `exampleBytes` gives the bytes of the stored example, when they are asked for. */
export declare function openModel<Inputs extends object, Outputs extends object>(contract: Contract, runtime: Runtime, exampleBytes: () => Promise<ArrayBuffer>): PictureModel<Inputs, Outputs>;
