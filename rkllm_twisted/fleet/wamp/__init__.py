"""The engine over WAMP. Only this folder imports autobahn, which the extra ``fleet`` installs."""
