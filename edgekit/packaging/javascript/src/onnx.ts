/** ONNX Runtime Web, on the CPU. */

import * as ort from "onnxruntime-web/wasm";

import { fetchBytes, type LoadOptions, type WebContract } from "./files.js";
import type { Runtime } from "./runtime.js";
import type { DType, Tensor, TensorData } from "./types.js";

export async function openRuntime(contract: WebContract, options: LoadOptions): Promise<Runtime> {
  const { threads, graphOptimization, foldWeights } = contract.runtime;
  const { wasm } = ort.env;
  if (options.runtimeUrl !== undefined) wasm.wasmPaths = folder(options.runtimeUrl);
  wasm.numThreads = globalThis.crossOriginIsolated ? (options.threads ?? threads) : 1; // otherwise the runtime warns and takes 1
  const session = await ort.InferenceSession.create(new Uint8Array(await fetchBytes(contract.files.model, options.model)), {
    executionProviders: ["wasm"],
    graphOptimizationLevel: graphOptimization === "none" ? "disabled" : graphOptimization,
    externalData: await Promise.all(
      Object.entries(contract.files.externalData).map(async ([path, file]) => ({ path, data: new Uint8Array(await fetchBytes(file)) })),
    ),
    ...(foldWeights ? { extra: { session: { disable_quant_qdq: "1" } } } : {}),
  });
  const dtypes = new Map(contract.inputs.map(({ artifactName, artifactDtype }) => [artifactName, artifactDtype]));
  return new OnnxRuntime(session, dtypes, wasm.numThreads);
}

function folder(url: URL | string): string {
  const { href } = new URL(url, globalThis.location.href);
  return href.endsWith("/") ? href : `${href}/`;
}

class OnnxRuntime implements Runtime {
  constructor(
    private readonly session: ort.InferenceSession, private readonly dtypes: ReadonlyMap<string, DType>, readonly threads: number,
  ) {}

  async run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const feeds: Record<string, ort.Tensor> = {};
    for (const [name, { data, dims }] of Object.entries(inputs)) {
      feeds[name] = new ort.Tensor(this.dtypes.get(name) as ort.Tensor.Type, data, dims);
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
