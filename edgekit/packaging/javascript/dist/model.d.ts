/** The packaged model: typed tensors in, typed tensors out, and everything between done as it was when it was measured. */
import { type SelfTest } from "./example.js";
import { type Picture } from "./preprocess.js";
import { type LoadOptions, type OpenRuntime } from "./runtime.js";
import type { Contract, Tensor } from "./types.js";
export interface Model<Inputs, Outputs> {
    readonly contract: Contract;
    /** Threads that were measured, and those in force here: they differ where the page is not cross-origin isolated. */
    readonly threads: {
        readonly measured: number;
        readonly effective: number;
    };
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
export declare function openModel<Inputs extends object, Outputs extends object>(contract: Contract, openRuntime: OpenRuntime, options: LoadOptions): Promise<PictureModel<Inputs, Outputs>>;
