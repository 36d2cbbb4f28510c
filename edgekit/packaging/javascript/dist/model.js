/** The packaged model: typed tensors in, typed tensors out, and everything between done as it was when it was measured. */
import { compare, readExample } from "./example.js";
import { preprocess } from "./preprocess.js";
import { toArtifact, toOriginal } from "./tensors.js";
/** `exampleBytes` gives the bytes of the stored example, when they are asked for. */
export function openModel(contract, runtime, exampleBytes) {
    return new LoadedModel(contract, runtime, exampleBytes);
}
class LoadedModel {
    contract;
    runtime;
    exampleBytes;
    threads;
    last = Promise.resolve();
    constructor(contract, runtime, exampleBytes) {
        this.contract = contract;
        this.runtime = runtime;
        this.exampleBytes = exampleBytes;
        this.threads = { measured: contract.runtime.threads, effective: runtime.threads };
    }
    async run(inputs) {
        const given = inputs;
        const stored = {};
        for (const map of this.contract.inputs) {
            const tensor = given[map.key];
            if (tensor === undefined)
                throw new TypeError(`the input ${map.key} is missing`);
            stored[map.artifactName] = toArtifact(tensor, map);
        }
        const found = await this.inTurn(() => this.runtime.run(stored));
        const outputs = {};
        for (const map of this.contract.outputs) {
            const tensor = found[map.artifactName];
            if (tensor === undefined)
                throw new Error(`the runtime returned no output ${map.artifactName}`);
            outputs[map.key] = toOriginal(tensor, map);
        }
        return outputs;
    }
    preprocess(picture) {
        const recorded = this.contract.preprocess;
        if (recorded === null)
            throw new TypeError("this model was not measured on pictures: it has no recorded preprocessing");
        return preprocess(picture, recorded);
    }
    runPicture(picture) {
        const [input] = this.contract.inputs;
        return this.run({ [input.key]: this.preprocess(picture) });
    }
    async selfTest() {
        const { example, tolerance } = this.contract;
        const bytes = await this.exampleBytes();
        const found = await this.run(readExample(example.inputs, bytes));
        return compare(found, readExample(example.outputs, bytes), tolerance);
    }
    async close() {
        await this.inTurn(() => this.runtime.close());
    }
    inTurn(work) {
        const result = this.last.then(work);
        this.last = result.catch(() => undefined); // the caller has the error; the next call must not wait for it
        return result;
    }
}
