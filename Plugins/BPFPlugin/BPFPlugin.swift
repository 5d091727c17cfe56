// SPDX-License-Identifier: Apache-2.0
import Foundation
import PackagePlugin

/// Compiles a target's eBPF programs with the toolchain's own clang and embeds them.
///
/// Each `BPF/NAME.bpf.c` in the target's folder becomes `BPFObject.NAME`, the bytes of its object file, in that module.
/// Headers beside the programs are inputs as well. The target excludes the folder, since SwiftPM takes C beside Swift
/// for a mistake.
@main
struct BPFPlugin: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        guard let module = target as? any SourceModuleTarget else { return [] }
        let folder = module.directoryURL.appending(path: "BPF")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }
        let programs = files.filter { $0.lastPathComponent.hasSuffix(".bpf.c") }
        let headers = files.filter { $0.pathExtension == "h" }
        let output = context.pluginWorkDirectoryURL.appending(path: "BPFObject.swift")
        return [
            .buildCommand(
                displayName: "Compiling eBPF programs of \(module.name)",
                executable: try context.tool(named: "bpf-embed").url,
                arguments: [
                    try context.tool(named: "clang").url.path, try context.tool(named: "llvm-objcopy").url.path,
                    output.path,
                ] + programs.map(\.path),
                inputFiles: programs + headers, outputFiles: [output])
        ]
    }
}
