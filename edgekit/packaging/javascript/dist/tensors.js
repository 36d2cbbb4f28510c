/** The model's tensors and the packaged file's, translated both ways, so that callers only see the model's own contract. */
const CONSTRUCTORS = {
    float16: Uint16Array, float32: Float32Array, float64: Float64Array, bool: Uint8Array,
    int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
    uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
};
const LIMITS = {
    int8: [-128, 127], uint8: [0, 255], int16: [-32768, 32767], uint16: [0, 65535], int32: [-(2 ** 31), 2 ** 31 - 1],
};
/** `size` zeros of a dtype. */
export function zeros(dtype, size) {
    return new CONSTRUCTORS[dtype](size);
}
/** The numbers that stand in `bytes` from `offset` (a multiple of 8) on. */
export function fromBytes(dtype, bytes, offset, size) {
    return new CONSTRUCTORS[dtype](bytes, offset, size);
}
/** How many numbers a tensor of these sizes has. */
export function sizeOf(dims) {
    return dims.reduce((product, size) => product * size, 1);
}
/**
 * What a caller gave for one input as the packaged file's runtime wants it: axes exchanged, quantized, in its dtype.
 *
 * @throws TypeError when the numbers are of another kind, RangeError when the sizes do not fit the model.
 */
export function toArtifact(given, map) {
    const tensor = checked(given, map);
    const { data, dims } = map.permutation === null ? tensor : transpose(tensor, map.permutation);
    checkSizes(dims, map.artifactShape, `${map.key} as the packaged model stores it`);
    if (map.scale === null)
        return { data: cast(data, map.dtype, map.artifactDtype), dims };
    return { data: quantize(data, map.artifactDtype, map.scale, map.zeroPoint), dims };
}
/** One output of the packaged file under the model's layout and dtype. */
export function toOriginal(stored, map) {
    const data = map.scale === null ? cast(stored.data, map.artifactDtype, map.dtype) : dequantize(stored.data, map.dtype, map.scale, map.zeroPoint);
    const tensor = { data, dims: stored.dims };
    return map.permutation === null ? tensor : transpose(tensor, inverse(map.permutation));
}
function checked(given, map) {
    const tensor = "dims" in given ? given : { data: given, dims: fixed(map) };
    const wanted = CONSTRUCTORS[map.dtype];
    if (!(tensor.data instanceof wanted))
        throw new TypeError(`${map.key} must be a ${wanted.name} (${map.dtype})`);
    checkSizes(tensor.dims, map.shape, map.key);
    if (tensor.data.length !== sizeOf(tensor.dims)) {
        throw new RangeError(`${map.key} has ${tensor.data.length} numbers; its sizes [${tensor.dims.join(", ")}] make ${sizeOf(tensor.dims)}`);
    }
    return tensor;
}
function fixed(map) {
    return map.shape.map((size) => {
        if (size === null)
            throw new TypeError(`${map.key} has a free size: give { data, dims }`);
        return size;
    });
}
function checkSizes(dims, shape, what) {
    const fits = dims.length === shape.length && shape.every((size, axis) => size === null || size === dims[axis]);
    if (!fits)
        throw new RangeError(`${what} must have the sizes [${shape.map((size) => size ?? "any").join(", ")}], not [${dims.join(", ")}]`);
}
/** Axis i of the result is axis `permutation[i]` of the tensor. */
export function transpose(tensor, permutation) {
    const { dims } = tensor;
    const strides = dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
    const turned = permutation.map((axis) => dims[axis]);
    const steps = permutation.map((axis) => strides[axis]);
    const data = tensor.data.slice();
    const position = turned.map(() => 0);
    let from = 0;
    for (let at = 0; at < data.length; at++) {
        data[at] = tensor.data[from];
        for (let axis = turned.length - 1; axis >= 0; axis--) {
            from += steps[axis];
            if (++position[axis] < turned[axis])
                break;
            from -= steps[axis] * turned[axis];
            position[axis] = 0;
        }
    }
    return { data, dims: turned };
}
function inverse(permutation) {
    return permutation.map((_, axis) => permutation.indexOf(axis));
}
/** `clip(round(real / scale) + zeroPoint)`, rounded half to even, in doubles. */
function quantize(real, dtype, scale, zeroPoint) {
    const limits = LIMITS[dtype];
    if (limits === undefined)
        throw new TypeError(`numbers cannot be quantized to ${dtype}`);
    const [lowest, highest] = limits;
    const stored = zeros(dtype, real.length);
    for (let i = 0; i < stored.length; i++) {
        stored[i] = Math.min(Math.max(roundHalfToEven(Number(real[i]) / scale) + zeroPoint, lowest), highest);
    }
    return stored;
}
function dequantize(stored, dtype, scale, zeroPoint) {
    const real = zeros(dtype, stored.length);
    for (let i = 0; i < real.length; i++)
        real[i] = (Number(stored[i]) - zeroPoint) * scale;
    return real;
}
function roundHalfToEven(x) {
    const down = Math.floor(x);
    const rest = x - down;
    if (rest !== 0.5)
        return rest < 0.5 ? down : down + 1;
    return down % 2 === 0 ? down : down + 1;
}
/** The same numbers in another dtype; a package whose tensors would need more than that is not written. */
function cast(data, from, to) {
    if (from === to)
        return data;
    const converted = zeros(to, data.length);
    if (converted instanceof BigInt64Array || converted instanceof BigUint64Array) {
        for (let i = 0; i < data.length; i++)
            converted[i] = BigInt(data[i]);
    }
    else {
        for (let i = 0; i < data.length; i++)
            converted[i] = Number(data[i]);
    }
    return converted;
}
