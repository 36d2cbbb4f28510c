import Foundation

/// Numbers as the model's file has them: its own layout and element type.
struct StoredTensor {
    let elementType: ElementType
    let shape: [Int]
    let data: Data
}

/// How one of the model's tensors appears in the file.
struct TensorLayout {
    /// Its name in the file.
    let name: String
    let elementType: ElementType
    /// What the caller sees; nil where the size of an axis is the caller's to choose.
    let shape: [Int?]
    /// Takes the caller's axes to the file's; nil where they are the same.
    let permutation: [Int]?
    /// real = scale * (stored - zeroPoint); nil where nothing is quantized.
    let scale: Double?
    let zeroPoint: Int

    /// - Throws: `ModelError.input` for another shape, or a value that the file's type cannot hold.
    func store<Element: Scalar>(_ tensor: Tensor<Element>) throws -> StoredTensor {
        guard fits(tensor.shape) else {
            let expected = shape.map { size in size.map { String($0) } ?? "any" }.joined(separator: ", ")
            throw ModelError.input("\(name) must have the shape [\(expected)], not \(tensor.shape)")
        }
        var values = tensor.values
        var stored = tensor.shape
        if let axes = permutation {
            values = permuted(values, shape: stored, axes: axes)
            stored = axes.map { stored[$0] }
        }
        return StoredTensor(elementType: elementType, shape: stored, data: try encoded(values))
    }

    /// - Throws: `ModelError.runtime` when the runtime returned something else than the file promises.
    func restore<Element: Scalar>(_ stored: StoredTensor, as type: Element.Type) throws -> Tensor<Element> {
        guard stored.elementType == elementType else {
            throw ModelError.runtime("\(name) came as \(stored.elementType), not \(elementType)")
        }
        var values: [Element] = try decoded(stored.data)
        var caller = stored.shape
        guard caller.reduce(1, { $0 * $1 }) == values.count else {
            throw ModelError.runtime("\(name) came with \(values.count) values for the shape \(caller)")
        }
        if let axes = permutation {
            guard axes.count == caller.count else {
                throw ModelError.runtime("\(name) came with \(caller.count) axes, not \(axes.count)")
            }
            var back = [Int](repeating: 0, count: axes.count)
            for index in 0..<axes.count {
                back[axes[index]] = index
            }
            values = permuted(values, shape: caller, axes: back)
            caller = back.map { stored.shape[$0] }
        }
        return try Tensor(values, shape: caller)
    }

    private func fits(_ given: [Int]) -> Bool {
        guard given.count == shape.count else { return false }
        for index in 0..<shape.count {
            if let size = shape[index], size != given[index] { return false }
        }
        return true
    }

    private func encoded<Element: Scalar>(_ values: [Element]) throws -> Data {
        if scale == nil && Element.elementType == elementType {
            return values.withUnsafeBytes { Data($0) }
        }
        switch elementType {
        case .float32: return try converted(values, to: Float.self)
        case .float64: return try converted(values, to: Double.self)
        case .int8: return try converted(values, to: Int8.self)
        case .int16: return try converted(values, to: Int16.self)
        case .int32: return try converted(values, to: Int32.self)
        case .int64: return try converted(values, to: Int64.self)
        case .uint8: return try converted(values, to: UInt8.self)
        case .uint16: return try converted(values, to: UInt16.self)
        case .uint32: return try converted(values, to: UInt32.self)
        case .uint64: return try converted(values, to: UInt64.self)
        }
    }

    private func converted<Element: Scalar, Kept: Scalar>(_ values: [Element], to type: Kept.Type) throws -> Data {
        var kept: [Kept] = []
        kept.reserveCapacity(values.count)
        let limits = quantizedLimits(of: elementType)
        for value in values {
            var real = value.real
            if let scale = scale {
                real = quantized(real, scale: scale, zeroPoint: zeroPoint, low: limits[0], high: limits[1])
            }
            guard let exact = Kept(real: real) else {
                throw ModelError.input("\(name) cannot hold \(value)")
            }
            kept.append(exact)
        }
        return kept.withUnsafeBytes { Data($0) }
    }

    private func decoded<Element: Scalar>(_ data: Data) throws -> [Element] {
        if scale == nil && Element.elementType == elementType {
            return try numbers(in: data)
        }
        switch elementType {
        case .float32: return try reals(try numbers(in: data) as [Float])
        case .float64: return try reals(try numbers(in: data) as [Double])
        case .int8: return try reals(try numbers(in: data) as [Int8])
        case .int16: return try reals(try numbers(in: data) as [Int16])
        case .int32: return try reals(try numbers(in: data) as [Int32])
        case .int64: return try reals(try numbers(in: data) as [Int64])
        case .uint8: return try reals(try numbers(in: data) as [UInt8])
        case .uint16: return try reals(try numbers(in: data) as [UInt16])
        case .uint32: return try reals(try numbers(in: data) as [UInt32])
        case .uint64: return try reals(try numbers(in: data) as [UInt64])
        }
    }

    private func reals<Kept: Scalar, Element: Scalar>(_ kept: [Kept]) throws -> [Element] {
        var values: [Element] = []
        values.reserveCapacity(kept.count)
        for number in kept {
            var real = number.real
            if let scale = scale {
                real = dequantized(real, scale: scale, zeroPoint: zeroPoint)
            }
            guard let value = Element(real: real) else {
                throw ModelError.runtime("\(name) came with \(real), which is no \(Element.self)")
            }
            values.append(value)
        }
        return values
    }
}

/// The nearest stored number, halves to even, within the limits of its type.
func quantized(_ real: Double, scale: Double, zeroPoint: Int, low: Double, high: Double) -> Double {
    let level = (real / scale).rounded(.toNearestOrEven) + Double(zeroPoint)
    return level.isNaN ? Double(zeroPoint) : min(max(level, low), high)
}

func dequantized(_ stored: Double, scale: Double, zeroPoint: Int) -> Double {
    return (stored - Double(zeroPoint)) * scale
}

/// The least and the greatest number of a type that quantized tensors have.
func quantizedLimits(of type: ElementType) -> [Double] {
    switch type {
    case .int8: return [-128.0, 127.0]
    case .uint8: return [0.0, 255.0]
    default: return [-32768.0, 32767.0]
    }
}

/// The numbers in C order after `transpose(axes)`.
func permuted<Element>(_ values: [Element], shape: [Int], axes: [Int]) -> [Element] {
    let rank = shape.count
    var strides = [Int](repeating: 1, count: rank)
    for axis in stride(from: rank - 2, through: 0, by: -1) {
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    var index = [Int](repeating: 0, count: rank)
    var found: [Element] = []
    found.reserveCapacity(values.count)
    for _ in 0..<values.count {
        var from = 0
        for axis in 0..<rank {
            from += index[axis] * strides[axes[axis]]
        }
        found.append(values[from])
        var axis = rank - 1
        while axis >= 0 {
            index[axis] += 1
            if index[axis] < shape[axes[axis]] {
                break
            }
            index[axis] = 0
            axis -= 1
        }
    }
    return found
}

/// The numbers whose bytes these are; Apple's processors are little-endian, as is the file.
func numbers<Element: Scalar>(in data: Data) throws -> [Element] {
    guard data.count % MemoryLayout<Element>.stride == 0 else {
        throw ModelError.runtime("\(data.count) bytes are no whole number of \(Element.self)")
    }
    var values = [Element](repeating: Element.zero, count: data.count / MemoryLayout<Element>.stride)
    _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
    return values
}
