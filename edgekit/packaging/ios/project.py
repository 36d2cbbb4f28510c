"""``Package.swift`` and the podspec. Every name in them has passed the patterns of :mod:`edgekit.packaging.source`."""

from __future__ import annotations

from ..source import PackageSource
from .runtimes import RUNTIMES, module_name


def package_swift(source: PackageSource, minimum: str) -> str:
    """The manifest of the Swift package. ``minimum``: of ONNX Runtime's."""
    module = module_name(source)
    vectors = ', resources: [.copy("Golden")]' if source.preprocess else ""
    return f"""// swift-tools-version:5.7
import PackageDescription

let package = Package(
    name: "{module}",
    platforms: [{RUNTIMES[".onnx"].platforms}],
    products: [.library(name: "{module}", targets: ["{module}"])],
    dependencies: [
        .package(url: "https://github.com/microsoft/onnxruntime-swift-package-manager", from: "{minimum}")
    ],
    targets: [
        .target(
            name: "{module}",
            dependencies: [.product(name: "onnxruntime", package: "onnxruntime-swift-package-manager")],
            resources: [.copy("Model")]
        ),
        .testTarget(name: "{module}Tests", dependencies: ["{module}"]{vectors}),
    ]
)
"""


def podspec(source: PackageSource, minimum: str) -> str:
    """The pod's specification. ``minimum``: of TensorFlowLiteSwift."""
    module = module_name(source)
    vectors = f"\n    tests.resources = 'Tests/{module}Tests/Golden/*'" if source.preprocess else ""
    return f"""Pod::Spec.new do |spec|
  spec.name = '{module}'
  spec.version = '{source.version}'
  spec.summary = 'A model as a typed function, packaged by edgekit for LiteRT'
  spec.homepage = 'https://{".".join(reversed(source.group.split(".")))}/'
  spec.license = {{ :type => 'Proprietary', :text => 'The licence of the model is for its owner to state.' }}
  spec.author = '{source.group}'
  spec.source = {{ :path => '.' }}
  spec.ios.deployment_target = '{RUNTIMES[".tflite"].platforms}'
  spec.swift_version = '5.7'
  spec.static_framework = true
  spec.source_files = 'Sources/{module}/*.swift'
  spec.resource_bundles = {{ '{module}' => ['Sources/{module}/Model/*'] }}
  spec.dependency 'TensorFlowLiteSwift', '>= {minimum}', '< {int(minimum.split(".")[0]) + 1}'
  spec.test_spec 'Tests' do |tests|
    tests.source_files = 'Tests/{module}Tests/*.swift'{vectors}
  end
end
"""
