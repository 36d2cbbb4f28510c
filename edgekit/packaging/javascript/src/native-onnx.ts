/** ONNX Runtime in React Native, on the CPU. */

import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-react-native";

import type { Runtime } from "./runtime.js";
import type { Contract, DType, Tensor, TensorData } from "./types.js";

export interface LoadOptions {
  /** The model's file on this phone, as a path or a `file://` address, or its bytes. README.md says how to get it from `MODEL`. */
  readonly model: string | Uint8Array;
  /** The bytes of `GOLDEN`, for `selfTest`. */
  readonly example?: ArrayBuffer;
  /** Instead of the threads that were measured. */
  readonly threads?: number;
}

export async function openRuntime(contract: Contract, options: LoadOptions): Promise<Runtime> {
  const { graphOptimization, foldWeights } = contract.runtime;
  const threads = options.threads ?? contract.runtime.threads;
  const settings: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: graphOptimization === "none" ? "disabled" : graphOptimization,
    ...(foldWeights ? { extra: { session: { disable_quant_qdq: "1" } } } : {}),
  };
  const session =
    typeof options.model === "string"
      ? await InferenceSession.create(options.model, settings)
      : await InferenceSession.create(options.model, settings);
  const dtypes = new Map(contract.inputs.map(({ artifactName, artifactDtype }) => [artifactName, artifactDtype]));
  return new OnnxRuntime(session, dtypes, threads);
}

class OnnxRuntime implements Runtime {
  constructor(
    private readonly session: InferenceSession, private readonly dtypes: ReadonlyMap<string, DType>, readonly threads: number,
  ) {}

  async run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const feeds: Record<string, OnnxTensor> = {};
    for (const [name, { data, dims }] of Object.entries(inputs)) {
      feeds[name] = new OnnxTensor(this.dtypes.get(name) as OnnxTensor.Type, data, dims);
    }
    const found = await this.session.run(feeds);
    const outputs: Record<string, Tensor> = {};
    for (const [name, { data, dims }] of Object.entries(found)) outputs[name] = { data: data as TensorData, dims };
    return outputs;
  }

  close(): Promise<void> {
    return this.session.release();
  }
}
