/** From decoded pixels to the array a model takes: preprocess schema 1, in the steps and the arithmetic of its reference. */
import { fittedSize, resize } from "./resize.js";
/**
 * The model's input for one picture: (1, C, height, width) or (1, height, width, C) by the recorded layout.
 *
 * @throws RangeError when the picture's data does not fit its size.
 */
export function preprocess(picture, recorded) {
    let image = rgb(picture);
    if (recorded.apply_exif)
        image = turn(image, picture.orientation ?? 1);
    if (recorded.color === "gray")
        image = gray(image);
    const levels = cropAndResize(image, recorded);
    const [height, width] = recorded.resize;
    const { channels } = levels;
    const numbers = height * width * channels;
    const data = recorded.dtype === "uint8" ? new Uint8Array(numbers) : new Float32Array(numbers);
    const planar = recorded.layout === "NCHW";
    for (let c = 0; c < channels; c++) {
        const source = recorded.color === "BGR" ? channels - 1 - c : c;
        const mean = recorded.mean[c] ?? 0;
        const std = recorded.std[c] ?? 1;
        for (let pixel = 0; pixel < height * width; pixel++) {
            const level = levels.data[pixel * channels + source];
            const at = planar ? c * height * width + pixel : pixel * channels + c;
            data[at] = recorded.dtype === "uint8" ? level : (level / 255 - mean) / std;
        }
    }
    return { data, dims: planar ? [1, channels, height, width] : [1, height, width, channels] };
}
function rgb(picture) {
    const { height, width } = picture;
    const pixels = height * width;
    const stride = picture.data.length / pixels;
    if (!(height >= 1 && width >= 1) || (stride !== 3 && stride !== 4)) {
        throw new RangeError(`${picture.data.length} bytes are not ${width} x ${height} pixels of RGB or RGBA`);
    }
    const data = new Uint8Array(pixels * 3);
    for (let pixel = 0; pixel < pixels; pixel++) {
        for (let c = 0; c < 3; c++)
            data[pixel * 3 + c] = picture.data[pixel * stride + c];
    }
    return { data, height, width, channels: 3 };
}
/** The picture upright; anything but 2 to 8 leaves it as it is. */
function turn(image, orientation) {
    const exchange = orientation >= 5 && orientation <= 8;
    const mirror = [2, 3, 6, 7].includes(orientation);
    const flip = [3, 4, 7, 8].includes(orientation);
    if (!exchange && !mirror && !flip)
        return image;
    const height = exchange ? image.width : image.height;
    const width = exchange ? image.height : image.width;
    const data = new Uint8Array(image.data.length);
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
            const row = flip ? height - 1 - y : y;
            const column = mirror ? width - 1 - x : x;
            const from = exchange ? column * image.width + row : row * image.width + column;
            for (let c = 0; c < 3; c++)
                data[(y * width + x) * 3 + c] = image.data[from * 3 + c];
        }
    }
    return { data, height, width, channels: 3 };
}
/** ITU-R 601 luma in 16-bit fixed point. */
function gray(image) {
    const data = new Uint8Array(image.height * image.width);
    for (let pixel = 0; pixel < data.length; pixel++) {
        const [r, g, b] = [image.data[pixel * 3], image.data[pixel * 3 + 1], image.data[pixel * 3 + 2]];
        data[pixel] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
    }
    return { ...image, data, channels: 1 };
}
function cropAndResize(image, recorded) {
    const [height, width] = recorded.resize;
    const source = recorded.crop === "center" ? centreCrop(image, height, width) : image;
    const [innerHeight, innerWidth] = recorded.crop === "letterbox" ? fittedSize(image.height, image.width, height, width) : [height, width];
    const levels = resize(source, innerHeight, innerWidth, recorded.filter, recorded.antialias, recorded.round_to_uint8);
    if (innerHeight === height && innerWidth === width)
        return levels;
    return boxed(levels, height, width, recorded.pad_value);
}
/** The largest centred part with the aspect of (height, width). */
function centreCrop(image, height, width) {
    const { channels } = image;
    const [partHeight, partWidth] = fittedSize(height, width, image.height, image.width);
    const top = Math.floor((image.height - partHeight) / 2);
    const left = Math.floor((image.width - partWidth) / 2);
    const data = new Uint8Array(partHeight * partWidth * channels);
    for (let y = 0; y < partHeight; y++) {
        const from = ((top + y) * image.width + left) * channels;
        data.set(image.data.subarray(from, from + partWidth * channels), y * partWidth * channels);
    }
    return { data, height: partHeight, width: partWidth, channels };
}
/** The levels in the middle of a (height, width) picture of `padValue`. */
function boxed(levels, height, width, padValue) {
    const { channels } = levels;
    const numbers = height * width * channels;
    const data = levels.data instanceof Uint8Array ? new Uint8Array(numbers) : new Float64Array(numbers);
    data.fill(padValue);
    const top = Math.floor((height - levels.height) / 2);
    const left = Math.floor((width - levels.width) / 2);
    const row = levels.width * channels;
    for (let y = 0; y < levels.height; y++) {
        data.set(levels.data.subarray(y * row, (y + 1) * row), ((top + y) * width + left) * channels);
    }
    return { data, height, width, channels };
}
