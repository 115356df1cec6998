"""The daemon and a web site in one process: ``twistd -ny website.tac``, here in this directory.

Then look at http://127.0.0.1:8080/. Programs use the model through the socket meanwhile, each in
its turn. ``$WEBSITE_MODEL`` names the model and ``$WEBSITE_ENDPOINT`` where to listen; what is
said of the daemon is said as ever, in ``$RKLLM_LIBRARY``, ``$RKLLM_UDS_PATH`` and so on.
"""

import os

from asking import Loading, site_root
from twisted.application.service import Application
from twisted.application.strports import service
from twisted.web.server import Site

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.tap import Options, makeService

options = Options()
options.parseOptions([])
model = os.environ.get("WEBSITE_MODEL", str(demo_model()))
endpoint = os.environ.get("WEBSITE_ENDPOINT", "tcp:8080:interface=127.0.0.1")

application = Application("website")
daemon = makeService(options)
daemon.setServiceParent(application)
Loading(daemon.npu, model).setServiceParent(application)
service(endpoint, Site(site_root(daemon.npu))).setServiceParent(application)
