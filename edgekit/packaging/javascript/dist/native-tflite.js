/** LiteRT in React Native, on the CPU. */
import { loadTensorflowModel } from "react-native-fast-tflite";
import { fromBytes, sizeOf } from "./tensors.js";
export async function openRuntime(contract, asset, options) {
    const model = await loadTensorflowModel(options.model ?? asset, []);
    return new TfliteRuntime(model, inOrder(model.inputs, contract.inputs), inOrder(model.outputs, contract.outputs));
}
/**
 * The contract's tensors in the file's own order: by their names, or where the file calls them otherwise by type and sizes.
 *
 * @throws TypeError when that does not tell two of them apart.
 */
export function inOrder(described, maps) {
    return described.map((tensor) => {
        const named = maps.filter(({ artifactName }) => artifactName === tensor.name);
        const alike = maps.filter(({ artifactDtype, artifactShape }) => artifactDtype === tensor.dataType && artifactShape.join() === tensor.shape.join());
        const found = named.length === 1 ? named : alike;
        if (described.length !== maps.length || found.length !== 1) {
            throw new TypeError(`the runtime's tensor ${tensor.name} (${tensor.dataType} [${tensor.shape.join(", ")}]) cannot be told from others`);
        }
        return found[0];
    });
}
class TfliteRuntime {
    model;
    inputs;
    outputs;
    /** The runtime chooses its threads itself. */
    threads = null;
    constructor(model, inputs, outputs) {
        this.model = model;
        this.inputs = inputs;
        this.outputs = outputs;
    }
    async run(given) {
        const buffers = this.inputs.map(({ artifactName }) => new Uint8Array(bytesOf(given[artifactName])).buffer);
        const found = await this.model.run(buffers);
        return Object.fromEntries(this.outputs.map(({ artifactName, artifactDtype }, index) => {
            const dims = this.model.outputs[index].shape;
            return [artifactName, { data: fromBytes(artifactDtype, found[index], 0, sizeOf(dims)), dims }];
        }));
    }
    async close() {
        this.model.dispose();
    }
}
function bytesOf({ data }) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
