import Foundation
import TensorFlowLite

/// The model in LiteRT on the CPU, with the options it was measured with.
final class Session {
    private let interpreter: Interpreter
    private let signature: SignatureRunner?

    init(path: String, options: RunOptions) throws {
        var settings = Interpreter.Options()
        settings.threadCount = options.threads
        settings.isXNNPackEnabled = options.xnnpack
        interpreter = try Interpreter(modelPath: path, options: settings)
        try interpreter.allocateTensors()
        let keys = interpreter.signatureKeys
        signature = try keys.count == 1 ? interpreter.signatureRunner(with: keys[0]) : nil
    }

    /// Tensors go by the names of the model's only signature, or by their own where it has none.
    func run(_ inputs: [String: StoredTensor], outputs: [String]) throws -> [String: StoredTensor] {
        var found: [String: StoredTensor] = [:]
        if let signature = signature {
            try signature.invoke(with: inputs.mapValues { $0.data })
            for name in outputs {
                found[name] = try stored(try signature.output(named: name))
            }
            return found
        }
        for index in 0..<interpreter.inputTensorCount {
            let name = try interpreter.input(at: index).name
            guard let tensor = inputs[name] else {
                throw ModelError.runtime("the model has an input \(name) that its contract does not have")
            }
            try interpreter.copy(tensor.data, toInputAt: index)
        }
        try interpreter.invoke()
        for index in 0..<interpreter.outputTensorCount {
            let tensor = try interpreter.output(at: index)
            found[tensor.name] = try stored(tensor)
        }
        return found
    }

    private func stored(_ tensor: TensorFlowLite.Tensor) throws -> StoredTensor {
        return StoredTensor(
            elementType: try elementType(tensor.dataType), shape: tensor.shape.dimensions, data: tensor.data)
    }

    private func elementType(_ type: TensorFlowLite.Tensor.DataType) throws -> ElementType {
        switch type {
        case .float32: return .float32
        case .float64: return .float64
        case .int16: return .int16
        case .int32: return .int32
        case .int64: return .int64
        case .uInt8: return .uint8
        default: throw ModelError.runtime("LiteRT returned a type that this package does not know")
        }
    }
}

struct RunOptions {
    let threads: Int
    let xnnpack: Bool
}
