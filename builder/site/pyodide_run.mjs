// Run a Python file in real Pyodide with NumPy, in Node.
//   node pyodide_run.mjs PYODIDE_DIR NUMPY_WHEEL FOLDER FILE [ARGUMENT...]
// The files of FOLDER are copied to /world/<its name>, and /world is on Python's path. The file finds
// its arguments in sys.argv; what it prints goes to standard output.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

const [pyodideDir, wheel, folder, file, ...rest] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${pyodideDir}/pyodide.mjs`).href);
const { PYTHONHASHSEED } = process.env;
const pyodide = await loadPyodide({ env: { HOME: "/home/pyodide", ...(PYTHONHASHSEED && { PYTHONHASHSEED }) } });
pyodide.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel", {
  extractDir: pyodide.runPython("import site; site.getsitepackages()[0]"),
});
const copy = (from) => {
  for (const name of readdirSync(from)) {
    const path = join(from, name);
    if (name === "__pycache__") continue;
    if (statSync(path).isDirectory()) copy(path);
    else if (/\.(py|json)$/.test(name)) {
      const target = `/world/${basename(folder)}/${relative(folder, path)}`;
      pyodide.FS.mkdirTree(target.slice(0, target.lastIndexOf("/")));
      pyodide.FS.writeFile(target, readFileSync(path));
    }
  }
};
copy(folder);
// As in the page (`trim.py`), modules stand for what this Python lacks.
const stubs = new URL("../../site_template/pyodide/stubs/", import.meta.url);
pyodide.FS.mkdirTree("/stubs");
for (const name of readdirSync(stubs)) if (name.endsWith(".py")) pyodide.FS.writeFile(`/stubs/${name}`, readFileSync(new URL(name, stubs)));
pyodide.globals.set("ARGV", pyodide.toPy([file, ...rest]));
pyodide.runPython("import sys; sys.argv = list(ARGV); sys.path.insert(0, '/world'); sys.path.append('/stubs')");
try {
  pyodide.runPython(readFileSync(file, "utf8"), { filename: file });
} catch (error) {
  console.error(error.message); // Without Node's excerpt of Pyodide's one enormous line.
  process.exitCode = 1;
}
