// Image resizing in the arithmetic of preprocess schema 1, to the bit: separable, horizontal pass first, half-pixel centres.
// Swift neither fuses nor reorders these operations on Double, which is what the schema asks for.

/// How levels between pixels are found.
enum ResizeFilter {
    case nearest
    case bilinear
    case bicubic
}

/// Whole levels of a picture (0 to 255), row by row, channels innermost.
struct Pixels {
    let height: Int
    let width: Int
    let channels: Int
    let levels: [UInt8]
}

/// Levels that need not be whole, in the same order.
struct Levels {
    let height: Int
    let width: Int
    let channels: Int
    let values: [Double]
}

/// What an output position is a weighted sum of: the first input position, and the weights from there on.
struct Taps {
    let first: Int
    let weights: [Double]
}

/// The picture as (height, width): rounded and clipped to 0...255 after each pass where `roundToUInt8`, otherwise neither.
func resized(_ image: Pixels, height: Int, width: Int, filter: ResizeFilter, antialias: Bool, roundToUInt8: Bool) -> Levels {
    if filter == .nearest {
        return nearest(image, height: height, width: width)
    }
    let columns = taps(sizeIn: image.width, sizeOut: width, filter: filter, antialias: antialias)
    let rows = taps(sizeIn: image.height, sizeOut: height, filter: filter, antialias: antialias)
    let inner = width * image.channels
    if roundToUInt8 {
        let across = wholePass(image.levels, outer: image.height, size: image.width, inner: image.channels, positions: columns)
        let down = wholePass(across, outer: 1, size: image.height, inner: inner, positions: rows)
        return Levels(height: height, width: width, channels: image.channels, values: doubles(down))
    }
    let across = realPass(doubles(image.levels), outer: image.height, size: image.width, inner: image.channels, positions: columns)
    let down = realPass(across, outer: 1, size: image.height, inner: inner, positions: rows)
    return Levels(height: height, width: width, channels: image.channels, values: down)
}

func doubles(_ levels: [UInt8]) -> [Double] {
    var found = [Double](repeating: 0.0, count: levels.count)
    for index in 0..<levels.count {
        found[index] = Double(levels[index])
    }
    return found
}

/// For each output position the input position `floor((i + 0.5) * sizeIn / sizeOut)`, in integers.
func nearest(_ image: Pixels, height: Int, width: Int) -> Levels {
    let channels = image.channels
    var values = [Double](repeating: 0.0, count: height * width * channels)
    var at = 0
    for y in 0..<height {
        let row = (2 * y + 1) * image.height / (2 * height)
        for x in 0..<width {
            let column = (2 * x + 1) * image.width / (2 * width)
            for channel in 0..<channels {
                values[at] = Double(image.levels[(row * image.width + column) * channels + channel])
                at += 1
            }
        }
    }
    return Levels(height: height, width: width, channels: channels, values: values)
}

/// Taps outside the picture are left out; the rest are scaled to a sum of 1.
func taps(sizeIn: Int, sizeOut: Int, filter: ResizeFilter, antialias: Bool) -> [Taps] {
    let scale = Double(sizeIn) / Double(sizeOut)
    let widening = antialias ? max(scale, 1.0) : 1.0
    let support = (filter == .bicubic ? 2.0 : 1.0) * widening
    var found: [Taps] = []
    for position in 0..<sizeOut {
        let centre = (Double(position) + 0.5) * scale
        let first = max(Int(centre - support + 0.5), 0)
        let end = min(Int(centre + support + 0.5), sizeIn)
        var weights: [Double] = []
        var total = 0.0
        for x in first..<end {
            let distance = (Double(x) - centre + 0.5) * (1.0 / widening)
            let weight = filter == .bicubic ? cubic(distance) : triangle(distance)
            weights.append(weight)
            total += weight
        }
        for index in 0..<weights.count {
            weights[index] = weights[index] / total
        }
        found.append(Taps(first: first, weights: weights))
    }
    return found
}

func triangle(_ distance: Double) -> Double {
    let x = abs(distance)
    return x < 1.0 ? 1.0 - x : 0.0
}

/// Catmull-Rom: a = -0.5.
func cubic(_ distance: Double) -> Double {
    let x = abs(distance)
    if x < 1.0 {
        return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0
    }
    if x < 2.0 {
        return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    }
    return 0.0
}

/// One pass along the middle axis of (outer, size, inner): weights * 2^22 rounded half away from zero, the sum rounded half up,
/// clipped to 0...255.
func wholePass(_ levels: [UInt8], outer: Int, size: Int, inner: Int, positions: [Taps]) -> [UInt8] {
    var found = [UInt8](repeating: 0, count: outer * positions.count * inner)
    var sums = [Int](repeating: 0, count: inner)
    var at = 0
    for block in 0..<outer {
        for position in positions {
            for index in 0..<inner {
                sums[index] = 2_097_152
            }
            for tap in 0..<position.weights.count {
                let scaled = position.weights[tap] * 4_194_304.0
                let weight = Int(scaled + (scaled >= 0.0 ? 0.5 : -0.5))
                let from = (block * size + position.first + tap) * inner
                for index in 0..<inner {
                    sums[index] += Int(levels[from + index]) * weight
                }
            }
            for index in 0..<inner {
                found[at] = UInt8(min(max(sums[index] >> 22, 0), 255))
                at += 1
            }
        }
    }
    return found
}

/// The same in doubles: taps are added from the first to the last, nothing is rounded.
func realPass(_ levels: [Double], outer: Int, size: Int, inner: Int, positions: [Taps]) -> [Double] {
    var found = [Double](repeating: 0.0, count: outer * positions.count * inner)
    var at = 0
    for block in 0..<outer {
        for position in positions {
            for tap in 0..<position.weights.count {
                let weight = position.weights[tap]
                let from = (block * size + position.first + tap) * inner
                for index in 0..<inner {
                    found[at + index] += levels[from + index] * weight
                }
            }
            at += inner
        }
    }
    return found
}

/// (height, width): the largest of the same aspect that fits into the box; the free side is rounded half up, at least 1.
func fittedSize(height: Int, width: Int, intoHeight: Int, intoWidth: Int) -> [Int] {
    if width * intoHeight > height * intoWidth {
        return [max(1, (2 * height * intoWidth + width) / (2 * width)), intoWidth]
    }
    return [intoHeight, max(1, (2 * width * intoHeight + height) / (2 * height))]
}
