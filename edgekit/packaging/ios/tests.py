"""The generated tests, which run on a Mac: the golden pair through the runtime, and the twenty golden vectors of preprocessing."""

from __future__ import annotations

from ..source import PackageSource
from .runtimes import class_name, module_name


def self_test(source: PackageSource) -> str:
    """``selfTest()`` as a test."""
    from . import header

    return f"""{header(source)}

import XCTest

@testable import {module_name(source)}

final class SelfTests: XCTestCase {{
    func testTheModelComputesWhatWasMeasured() throws {{
        try {class_name(source)}().selfTest()
    }}
}}
"""


def preprocess_tests(source: PackageSource) -> str:
    """The arithmetic of preprocess schema 1 against its vectors, whichever of it this model uses."""
    from . import header

    bundle = "Bundle.module" if source.kind == ".onnx" else "Bundle(for: PreprocessTests.self)"
    folder = ', subdirectory: "Golden"' if source.kind == ".onnx" else ""
    return f"""{header(source)}

import XCTest

@testable import {module_name(source)}

final class PreprocessTests: XCTestCase {{
    func testTheGoldenVectors() throws {{
        let found = {bundle}.url(forResource: "preprocess-1", withExtension: "json"{folder})
        let data = try Data(contentsOf: try XCTUnwrap(found))
        let document = try JSONDecoder().decode(Document.self, from: data)
        XCTAssertEqual(document.vectors.count, 20)
        for vector in document.vectors {{
            let pixels = try XCTUnwrap(Data(base64Encoded: vector.pixels))
            let image = Pixels(height: vector.height, width: vector.width, channels: 3, levels: [UInt8](pixels))
            let numbers = preprocessed(image, orientation: vector.orientation, recorded: vector.preprocess.recorded)
            let expected = try XCTUnwrap(Data(base64Encoded: vector.expected.data))
            if vector.expected.dtype == "uint8" {{
                XCTAssertEqual(numbers.map {{ UInt8($0) }}, [UInt8](expected), "vector \\(vector.seed)")
            }} else {{
                let reals: [Float] = try {module_name(source)}.numbers(in: expected)
                XCTAssertEqual(numbers.map {{ Float($0) }}, reals, "vector \\(vector.seed)")
            }}
        }}
    }}
}}

private struct Document: Decodable {{
    let vectors: [Vector]
}}

private struct Vector: Decodable {{
    let seed: Int
    let height: Int
    let width: Int
    let pixels: String
    let orientation: Int
    let preprocess: Recorded
    let expected: Expected
}}

private struct Expected: Decodable {{
    let dtype: String
    let data: String
}}

private struct Recorded: Decodable {{
    let resize: [Int]
    let color: String
    let apply_exif: Bool
    let crop: String
    let pad_value: Int
    let filter: String
    let antialias: Bool
    let round_to_uint8: Bool
    let mean: [Double]
    let std: [Double]
    let layout: String
    let dtype: String

    var recorded: Preprocess {{
        let colors: [String: ColorOrder] = ["RGB": .rgb, "BGR": .bgr, "gray": .gray]
        let crops: [String: Crop] = ["none": .none, "center": .center, "letterbox": .letterbox]
        let filters: [String: ResizeFilter] = ["nearest": .nearest, "bilinear": .bilinear, "bicubic": .bicubic]
        return Preprocess(
            height: resize[0], width: resize[1], color: colors[color]!, applyExif: apply_exif, crop: crops[crop]!,
            padValue: pad_value, filter: filters[filter]!, antialias: antialias, roundToUInt8: round_to_uint8, mean: mean, std: std,
            channelsFirst: layout == "NCHW", keepLevels: dtype == "uint8")
    }}
}}
"""
