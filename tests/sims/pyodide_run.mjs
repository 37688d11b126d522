// Run a Python file in real Pyodide, with this checkout's sims/ (or another) to import.
//   node pyodide_run.mjs SIMS_DIR NUMPY_WHEEL FILE [ARGUMENT...]
// The file finds its arguments in sys.argv; what it prints goes to standard output.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { loadPyodide } from "pyodide";

const [sims, wheel, file, ...rest] = process.argv.slice(2);
const pyodide = await loadPyodide();
pyodide.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel", {
  extractDir: pyodide.runPython("import site; site.getsitepackages()[0]"),
});
const copy = (folder) => {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory() && name !== "__pycache__") copy(path);
    if (!name.endsWith(".py")) continue;
    const target = `/world/sims/${relative(sims, path)}`;
    pyodide.FS.mkdirTree(target.slice(0, target.lastIndexOf("/")));
    pyodide.FS.writeFile(target, readFileSync(path));
  }
};
copy(sims);
pyodide.globals.set("ARGV", pyodide.toPy([file, ...rest]));
pyodide.runPython("import sys; sys.argv = list(ARGV); sys.path.insert(0, '/world')");
try {
  pyodide.runPython(readFileSync(file, "utf8"), { filename: file });
} catch (error) {
  console.error(error.message); // Without Node's excerpt of Pyodide's one enormous line.
  process.exitCode = 1;
}
