import Foundation

/// A stored synthetic feed and what the model made of it when it was built.
struct Golden {
    let data: Data

    init(contentsOf url: URL) throws {
        data = try Data(contentsOf: url)
    }

    /// The tensor whose bytes start at `offset`.
    func tensor<Element: Scalar>(_ type: Element.Type, offset: Int, shape: [Int]) throws -> Tensor<Element> {
        let end = offset + shape.reduce(1, { $0 * $1 }) * MemoryLayout<Element>.stride
        guard end <= data.count else {
            throw ModelError.runtime("the golden pair is cut short")
        }
        return try Tensor(try numbers(in: data.subdata(in: offset..<end)), shape: shape)
    }
}

/// - Parameter tolerance: how far a value may lie from the stored one, as a fraction of the largest finite stored magnitude;
///   where that is infinite or not a number, it must be the same.
/// - Throws: `ModelError.selfTest` with the largest difference.
func compare<Element: Scalar>(_ found: Tensor<Element>, with stored: Tensor<Element>, name: String, tolerance: Double) throws {
    guard found.shape == stored.shape else {
        throw ModelError.selfTest("\(name) has the shape \(found.shape), not \(stored.shape)")
    }
    var largest = 1e-12
    var difference = 0.0
    for index in 0..<stored.values.count {
        let expected = stored.values[index].real
        let error = distance(found.values[index].real, from: expected)
        if expected.isFinite {
            largest = max(largest, abs(expected))
        }
        difference = error.isNaN ? Double.infinity : max(difference, error)
    }
    guard difference <= tolerance * largest else {
        throw ModelError.selfTest("\(name) differs by \(difference); up to \(tolerance * largest) is allowed")
    }
}

/// None where both are the same, also infinite or not a number; not a number where only one of them is none.
func distance(_ value: Double, from stored: Double) -> Double {
    if value == stored || (value.isNaN && stored.isNaN) {
        return 0.0
    }
    return abs(value - stored)
}
