// From decoded pixels to the numbers that a model takes: preprocess schema 1, in the steps of its reference.

enum ColorOrder {
    case rgb
    case bgr
    case gray
}

enum Crop {
    case none
    case center
    case letterbox
}

/// What was recorded when the model was calibrated. `mean` and `std` are empty or have one number a channel.
struct Preprocess {
    let height: Int
    let width: Int
    let color: ColorOrder
    let applyExif: Bool
    let crop: Crop
    let padValue: Int
    let filter: ResizeFilter
    let antialias: Bool
    let roundToUInt8: Bool
    let mean: [Double]
    let std: [Double]
    let channelsFirst: Bool
    let keepLevels: Bool
}

/// The numbers of the model's input for one picture, in its layout: (1, C, height, width) where `channelsFirst`, otherwise
/// (1, height, width, C). Each is to be rounded once, to the input's type.
func preprocessed(_ picture: Pixels, orientation: Int, recorded: Preprocess) -> [Double] {
    var image = picture
    if recorded.applyExif {
        image = turned(image, orientation: orientation)
    }
    if recorded.color == .gray {
        image = luma(image)
    }
    let levels = croppedAndResized(image, recorded: recorded)
    let channels = levels.channels
    let area = levels.height * levels.width
    var found = [Double](repeating: 0.0, count: area * channels)
    for channel in 0..<channels {
        let source = recorded.color == .bgr ? channels - 1 - channel : channel
        let mean = recorded.mean.isEmpty ? 0.0 : recorded.mean[channel]
        let std = recorded.std.isEmpty ? 1.0 : recorded.std[channel]
        for pixel in 0..<area {
            let level = levels.values[pixel * channels + source]
            let at = recorded.channelsFirst ? channel * area + pixel : pixel * channels + channel
            found[at] = recorded.keepLevels ? level : (level / 255.0 - mean) / std
        }
    }
    return found
}

/// The picture upright, by its EXIF orientation; anything but 2 to 8 leaves it as it is.
func turned(_ image: Pixels, orientation: Int) -> Pixels {
    let exchange = orientation >= 5 && orientation <= 8
    let mirror = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7
    let flip = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8
    if !exchange && !mirror && !flip {
        return image
    }
    let height = exchange ? image.width : image.height
    let width = exchange ? image.height : image.width
    let channels = image.channels
    var levels = [UInt8](repeating: 0, count: image.levels.count)
    for y in 0..<height {
        for x in 0..<width {
            let row = flip ? height - 1 - y : y
            let column = mirror ? width - 1 - x : x
            let from = exchange ? column * image.width + row : row * image.width + column
            for channel in 0..<channels {
                levels[(y * width + x) * channels + channel] = image.levels[from * channels + channel]
            }
        }
    }
    return Pixels(height: height, width: width, channels: channels, levels: levels)
}

/// ITU-R 601 luma in 16-bit fixed point.
func luma(_ image: Pixels) -> Pixels {
    let area = image.height * image.width
    var levels = [UInt8](repeating: 0, count: area)
    for pixel in 0..<area {
        let red = Int(image.levels[3 * pixel])
        let green = Int(image.levels[3 * pixel + 1])
        let blue = Int(image.levels[3 * pixel + 2])
        levels[pixel] = UInt8((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)
    }
    return Pixels(height: image.height, width: image.width, channels: 1, levels: levels)
}

func croppedAndResized(_ image: Pixels, recorded: Preprocess) -> Levels {
    var source = image
    var inner = [recorded.height, recorded.width]
    if recorded.crop == .center {
        source = centreCropped(image, likeHeight: recorded.height, likeWidth: recorded.width)
    }
    if recorded.crop == .letterbox {
        inner = fittedSize(height: image.height, width: image.width, intoHeight: recorded.height, intoWidth: recorded.width)
    }
    let levels = resized(
        source, height: inner[0], width: inner[1], filter: recorded.filter, antialias: recorded.antialias,
        roundToUInt8: recorded.roundToUInt8)
    if inner[0] == recorded.height && inner[1] == recorded.width {
        return levels
    }
    return boxed(levels, height: recorded.height, width: recorded.width, padValue: Double(recorded.padValue))
}

/// The largest centred part with the aspect of (likeHeight, likeWidth).
func centreCropped(_ image: Pixels, likeHeight: Int, likeWidth: Int) -> Pixels {
    let part = fittedSize(height: likeHeight, width: likeWidth, intoHeight: image.height, intoWidth: image.width)
    let top = (image.height - part[0]) / 2
    let left = (image.width - part[1]) / 2
    let channels = image.channels
    var levels = [UInt8](repeating: 0, count: part[0] * part[1] * channels)
    for y in 0..<part[0] {
        for index in 0..<(part[1] * channels) {
            levels[y * part[1] * channels + index] = image.levels[((top + y) * image.width + left) * channels + index]
        }
    }
    return Pixels(height: part[0], width: part[1], channels: channels, levels: levels)
}

/// The levels in the middle of a (height, width) picture of `padValue`.
func boxed(_ levels: Levels, height: Int, width: Int, padValue: Double) -> Levels {
    let channels = levels.channels
    let top = (height - levels.height) / 2
    let left = (width - levels.width) / 2
    let row = levels.width * channels
    var values = [Double](repeating: padValue, count: height * width * channels)
    for y in 0..<levels.height {
        for index in 0..<row {
            values[((top + y) * width + left) * channels + index] = levels.values[y * row + index]
        }
    }
    return Levels(height: height, width: width, channels: channels, values: values)
}
