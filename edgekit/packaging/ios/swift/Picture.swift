import Foundation

#if canImport(CoreGraphics)
import CoreGraphics
#endif

/// A decoded picture: RGB, one byte a level, row by row. `orientation` is the EXIF orientation (1 to 8) of pixels that have not been
/// turned yet.
public struct Picture {
    public let height: Int
    public let width: Int
    public let rgb: [UInt8]
    public let orientation: Int

    /// - Throws: `ModelError.input` when there are not `3 * width * height` bytes.
    public init(rgb: [UInt8], width: Int, height: Int, orientation: Int = 1) throws {
        guard width > 0, height > 0, rgb.count == 3 * width * height else {
            throw ModelError.input("\(rgb.count) bytes are not \(width) x \(height) pixels of RGB")
        }
        self.height = height
        self.width = width
        self.rgb = rgb
        self.orientation = orientation
    }

    #if canImport(CoreGraphics)
    /// The pixels of a decoded image in sRGB, without its alpha.
    ///
    /// - Parameter orientation: of an image that has not been turned: `CGImagePropertyOrientation.rawValue`, 1 unless given.
    /// - Throws: `ModelError.input` when it cannot be drawn.
    public init(_ image: CGImage, orientation: Int = 1) throws {
        let width = image.width
        let height = image.height
        var rgba = [UInt8](repeating: 255, count: 4 * width * height)
        let drawn: Bool = rgba.withUnsafeMutableBytes { buffer -> Bool in
            guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                let context = CGContext(
                    data: buffer.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width,
                    space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            else {
                return false
            }
            context.interpolationQuality = .none
            context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
            return true
        }
        guard drawn else {
            throw ModelError.input("an image of \(width) x \(height) pixels cannot be drawn")
        }
        var rgb = [UInt8](repeating: 0, count: 3 * width * height)
        for pixel in 0..<(width * height) {
            for channel in 0..<3 {
                rgb[3 * pixel + channel] = rgba[4 * pixel + channel]
            }
        }
        try self.init(rgb: rgb, width: width, height: height, orientation: orientation)
    }
    #endif

    var pixels: Pixels {
        return Pixels(height: height, width: width, channels: 3, levels: rgb)
    }
}
