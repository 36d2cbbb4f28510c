/** ONNX Runtime Web, on the CPU. */
import * as ort from "onnxruntime-web/wasm";
import { fetchBytes } from "./files.js";
export async function openRuntime(contract, options) {
    const { threads, graphOptimization, foldWeights } = contract.runtime;
    const { wasm } = ort.env;
    if (options.runtimeUrl !== undefined)
        wasm.wasmPaths = folder(options.runtimeUrl);
    wasm.numThreads = globalThis.crossOriginIsolated ? (options.threads ?? threads) : 1; // otherwise the runtime warns and takes 1
    const session = await ort.InferenceSession.create(new Uint8Array(await fetchBytes(contract.files.model, options.model)), {
        executionProviders: ["wasm"],
        graphOptimizationLevel: graphOptimization === "none" ? "disabled" : graphOptimization,
        externalData: await Promise.all(Object.entries(contract.files.externalData).map(async ([path, file]) => ({ path, data: new Uint8Array(await fetchBytes(file)) }))),
        ...(foldWeights ? { extra: { session: { disable_quant_qdq: "1" } } } : {}),
    });
    const dtypes = new Map(contract.inputs.map(({ artifactName, artifactDtype }) => [artifactName, artifactDtype]));
    return new OnnxRuntime(session, dtypes, wasm.numThreads);
}
function folder(url) {
    const { href } = new URL(url, globalThis.location.href);
    return href.endsWith("/") ? href : `${href}/`;
}
class OnnxRuntime {
    session;
    dtypes;
    threads;
    constructor(session, dtypes, threads) {
        this.session = session;
        this.dtypes = dtypes;
        this.threads = threads;
    }
    async run(inputs) {
        const feeds = {};
        for (const [name, { data, dims }] of Object.entries(inputs)) {
            feeds[name] = new ort.Tensor(this.dtypes.get(name), data, dims);
        }
        const found = await this.session.run(feeds);
        const outputs = {};
        for (const [name, { data, dims }] of Object.entries(found))
            outputs[name] = { data: data, dims };
        return outputs;
    }
    close() {
        return this.session.release();
    }
}
