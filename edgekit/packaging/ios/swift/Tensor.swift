import Foundation

/// What can go wrong; each case says what.
public enum ModelError: Error, CustomStringConvertible {
    /// What the caller gave does not fit the model.
    case input(String)
    /// The package is not what was built, or the runtime did not do what it should.
    case runtime(String)
    /// The model does not compute here what it computed when it was measured.
    case selfTest(String)

    public var description: String {
        switch self {
        case .input(let text), .runtime(let text), .selfTest(let text):
            return text
        }
    }
}

/// Numbers in C order, with their shape.
public struct Tensor<Element: Scalar> {
    public let values: [Element]
    public let shape: [Int]

    /// - Throws: `ModelError.input` when the shape has another number of elements.
    public init(_ values: [Element], shape: [Int]) throws {
        guard shape.allSatisfy({ $0 >= 0 }), shape.reduce(1, { $0 * $1 }) == values.count else {
            throw ModelError.input("\(values.count) values do not have the shape \(shape)")
        }
        self.values = values
        self.shape = shape
    }
}

/// The type of a stored element.
public enum ElementType {
    case float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64
}

/// What a tensor may hold.
public protocol Scalar: Comparable, AdditiveArithmetic {
    static var elementType: ElementType { get }
    var real: Double { get }
    /// nil where the type cannot hold the value: a fraction or a number out of range in an integer.
    init?(real: Double)
}

extension Float: Scalar {
    public static var elementType: ElementType { return .float32 }
    public var real: Double { return Double(self) }
    public init?(real: Double) { self.init(real) }
}

extension Double: Scalar {
    public static var elementType: ElementType { return .float64 }
    public var real: Double { return self }
    public init?(real: Double) { self.init(real) }
}

extension Scalar where Self: FixedWidthInteger {
    public var real: Double { return Double(self) }
    public init?(real: Double) {
        guard let value = Self(exactly: real) else { return nil }
        self = value
    }
}

extension Int8: Scalar {
    public static var elementType: ElementType { return .int8 }
}

extension Int16: Scalar {
    public static var elementType: ElementType { return .int16 }
}

extension Int32: Scalar {
    public static var elementType: ElementType { return .int32 }
}

extension Int64: Scalar {
    public static var elementType: ElementType { return .int64 }
}

extension UInt8: Scalar {
    public static var elementType: ElementType { return .uint8 }
}

extension UInt16: Scalar {
    public static var elementType: ElementType { return .uint16 }
}

extension UInt32: Scalar {
    public static var elementType: ElementType { return .uint32 }
}

extension UInt64: Scalar {
    public static var elementType: ElementType { return .uint64 }
}
