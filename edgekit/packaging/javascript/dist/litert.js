/** LiteRT for the web, on the CPU. */
import { getGlobalLiteRtPromise, loadAndCompile, loadLiteRt, Tensor as LiteRtTensor } from "@litertjs/core";
import { fetchBytes } from "./files.js";
/** Where the runtime's files are unless `runtimeUrl` says otherwise: beside the page, as its package ships them. */
const RUNTIME_URL = "litert-wasm/";
export async function openRuntime(contract, options) {
    const wanted = options.threads ?? contract.runtime.threads;
    const threads = globalThis.crossOriginIsolated ? wanted : 1;
    const url = new URL(options.runtimeUrl ?? RUNTIME_URL, globalThis.location.href).href;
    await (getGlobalLiteRtPromise() ?? loadLiteRt(url.endsWith("/") ? url : `${url}/`, { threads: threads > 1 })); // one a page
    const bytes = new Uint8Array(await fetchBytes(contract.files.model, options.model));
    const model = await loadAndCompile(bytes, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
    return new LiteRtRuntime(model, threads);
}
class LiteRtRuntime {
    model;
    threads;
    constructor(model, threads) {
        this.model = model;
        this.threads = threads;
    }
    async run(inputs) {
        const feeds = {};
        let found = {};
        try {
            for (const [name, { data, dims }] of Object.entries(inputs))
                feeds[name] = new LiteRtTensor(data, [...dims]);
            found = await this.model.run(feeds);
            const outputs = {};
            for (const [name, tensor] of Object.entries(found)) {
                outputs[name] = { data: tensor.toTypedArray().slice(), dims: Array.from(tensor.type.layout.dimensions) };
            }
            return outputs;
        }
        finally {
            for (const tensor of [...Object.values(feeds), ...Object.values(found)])
                tensor.delete(); // its memory is not collected
        }
    }
    async close() {
        this.model.delete();
    }
}
