import Foundation
import OnnxRuntimeBindings

/// The model in ONNX Runtime on the CPU, with the options it was measured with.
final class Session {
    private let environment: ORTEnv
    private let session: ORTSession

    init(path: String, options: RunOptions) throws {
        environment = try ORTEnv(loggingLevel: .error)
        let settings = try ORTSessionOptions()
        try settings.setIntraOpNumThreads(Int32(options.threads))
        try settings.setGraphOptimizationLevel(options.level)
        try settings.addConfigEntry(withKey: "session.intra_op.allow_spinning", value: options.allowSpinning ? "1" : "0")
        if options.foldWeights {
            try settings.addConfigEntry(withKey: "session.disable_quant_qdq", value: "1")
        }
        session = try ORTSession(env: environment, modelPath: path, sessionOptions: settings)
    }

    func run(_ inputs: [String: StoredTensor], outputs: [String]) throws -> [String: StoredTensor] {
        var values: [String: ORTValue] = [:]
        for (name, tensor) in inputs {
            values[name] = try ORTValue(
                tensorData: NSMutableData(data: tensor.data), elementType: try ortType(tensor.elementType),
                shape: tensor.shape.map { NSNumber(value: $0) })
        }
        let results = try session.run(withInputs: values, outputNames: Set(outputs), runOptions: nil)
        var found: [String: StoredTensor] = [:]
        for name in outputs {
            guard let value = results[name] else {
                throw ModelError.runtime("ONNX Runtime returned no output \(name)")
            }
            let info = try value.tensorTypeAndShapeInfo()
            let bytes = try value.tensorData()  // lives as long as the value: copied
            found[name] = StoredTensor(
                elementType: try elementType(info.elementType), shape: info.shape.map { $0.intValue },
                data: Data(bytes: bytes.bytes, count: bytes.length))
        }
        return found
    }

    private func ortType(_ type: ElementType) throws -> ORTTensorElementDataType {
        switch type {
        case .float32: return .float
        case .int8: return .int8
        case .int32: return .int32
        case .int64: return .int64
        case .uint8: return .uInt8
        case .uint32: return .uInt32
        case .uint64: return .uInt64
        default: throw ModelError.runtime("ONNX Runtime's Swift interface has no \(type)")
        }
    }

    private func elementType(_ type: ORTTensorElementDataType) throws -> ElementType {
        switch type {
        case .float: return .float32
        case .int8: return .int8
        case .int32: return .int32
        case .int64: return .int64
        case .uInt8: return .uint8
        case .uInt32: return .uint32
        case .uInt64: return .uint64
        default: throw ModelError.runtime("ONNX Runtime returned a type that this package does not know")
        }
    }
}

struct RunOptions {
    let threads: Int
    let level: ORTGraphOptimizationLevel
    let allowSpinning: Bool
    let foldWeights: Bool
}
