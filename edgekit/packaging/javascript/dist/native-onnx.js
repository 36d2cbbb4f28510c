/** ONNX Runtime in React Native, on the CPU. */
import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-react-native";
export async function openRuntime(contract, options) {
    const { graphOptimization, foldWeights } = contract.runtime;
    const threads = options.threads ?? contract.runtime.threads;
    const settings = {
        executionProviders: ["cpu"],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: graphOptimization === "none" ? "disabled" : graphOptimization,
        ...(foldWeights ? { extra: { session: { disable_quant_qdq: "1" } } } : {}),
    };
    const session = typeof options.model === "string"
        ? await InferenceSession.create(options.model, settings)
        : await InferenceSession.create(options.model, settings);
    const dtypes = new Map(contract.inputs.map(({ artifactName, artifactDtype }) => [artifactName, artifactDtype]));
    return new OnnxRuntime(session, dtypes, threads);
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
            feeds[name] = new OnnxTensor(this.dtypes.get(name), data, dims);
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
