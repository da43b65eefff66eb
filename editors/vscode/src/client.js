// Starts `optc lsp` and hands the editor's questions to it. All knowledge of the language is in the server.

const { commands, window, workspace } = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

function start() {
  const command = workspace.getConfiguration("optc").get("path") || "optc";
  const server = { command, args: ["lsp"], transport: TransportKind.stdio };
  client = new LanguageClient("optc", "optc", server, { documentSelector: [{ language: "opt" }] });
  return client.start().catch((problem) => {
    window.showErrorMessage(`optc: cannot start '${command} lsp': ${problem.message ?? problem}. Set "optc.path".`);
  });
}

async function stop() {
  const old = client;
  client = undefined;
  // A server that never started cannot be stopped.
  if (old?.needsStop()) await old.stop();
}

exports.activate = (context) => {
  const restart = async () => {
    await stop();
    await start();
  };
  context.subscriptions.push(
    commands.registerCommand("optc.restart", restart),
    workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("optc.path") && restart()),
  );
  return start();
};

exports.deactivate = stop;
