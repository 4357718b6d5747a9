"""The names from outside that have no place in a workflow, by what is wrong with them.

``x.*`` is everything of ``x`` that has no line of its own; ``()`` is what a call returned. A class is a finding where
it is called, a function also where it is only named: it is named to be called.
"""

from __future__ import annotations

__all__ = ["ARGUMENTS_MIN", "ENTRIES", "find"]

_CLOCK = """
    time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter time.perf_counter_ns time.process_time
    time.process_time_ns time.thread_time time.thread_time_ns time.clock_gettime time.clock_gettime_ns time.gmtime
    datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today
    arrow.now arrow.utcnow pendulum.now pendulum.today pendulum.tomorrow pendulum.yesterday whenever.Instant.now
    django.utils.timezone.now timeit.default_timer pandas.Timestamp.now pandas.Timestamp.utcnow
"""
_RANDOM = """
    random.random random.randint random.randrange random.choice random.choices random.sample random.shuffle
    random.uniform random.triangular random.gauss random.normalvariate random.lognormvariate random.expovariate
    random.vonmisesvariate random.gammavariate random.betavariate random.paretovariate random.weibullvariate
    random.binomialvariate random.getrandbits random.randbytes random.seed random.setstate random.getstate
    random.Random random.SystemRandom random.SystemRandom().* secrets.* os.urandom os.getrandom
    numpy.random.rand numpy.random.randn numpy.random.randint numpy.random.random numpy.random.choice
    numpy.random.shuffle numpy.random.permutation numpy.random.normal numpy.random.uniform numpy.random.default_rng
"""
_UUID = """
    uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7 uuid.uuid8 uuid.getnode ulid.new ulid.ULID nanoid.generate
    shortuuid.uuid shortuuid.random uuid6.uuid6 uuid6.uuid7 uuid_utils.uuid4 uuid_utils.uuid7
"""
_ENVIRONMENT = """
    os.environ os.environ.* os.environb os.environb.* os.getenv os.getenvb os.putenv os.unsetenv os.getcwd os.getcwdb
    os.chdir os.getpid os.getppid os.getlogin os.getuid os.getgid os.cpu_count os.process_cpu_count os.uname
    os.getloadavg os.sched_getaffinity platform.node platform.platform platform.system platform.machine platform.uname
    platform.release platform.version platform.processor getpass.getuser locale.getlocale locale.setlocale
    locale.getdefaultlocale sys.argv sys.getrefcount pathlib.Path.cwd pathlib.Path.home os.path.expanduser
    os.path.expandvars os.path.abspath socket.gethostname socket.getfqdn psutil.* multiprocessing.cpu_count
    time.localtime time.ctime time.mktime time.tzset time.tzname time.timezone time.strftime
    datetime.datetime.fromtimestamp datetime.date.fromtimestamp gc.get_objects tracemalloc.*
    dotenv.load_dotenv dotenv.dotenv_values decouple.config
"""
_FILES = """
    builtins.open io.open io.FileIO io.open_code os.open os.fdopen os.read os.write os.close os.listdir os.scandir
    os.walk os.stat os.lstat os.remove os.unlink os.rename os.renames os.replace os.mkdir os.makedirs os.rmdir
    os.removedirs os.link os.symlink os.readlink os.chmod os.chown os.utime os.truncate os.access os.statvfs os.pipe
    os.sendfile os.path.exists os.path.lexists os.path.isfile os.path.isdir os.path.islink os.path.getsize
    os.path.getmtime os.path.getatime os.path.getctime os.path.realpath os.path.samefile os.path.ismount
    shutil.copy shutil.copy2 shutil.copyfile shutil.copyfileobj shutil.copytree shutil.move shutil.rmtree
    shutil.disk_usage shutil.which shutil.make_archive shutil.unpack_archive
    tempfile.NamedTemporaryFile tempfile.TemporaryFile tempfile.SpooledTemporaryFile tempfile.TemporaryDirectory
    tempfile.mkdtemp tempfile.mkstemp tempfile.mktemp tempfile.gettempdir
    glob.glob glob.iglob fileinput.input linecache.getline mmap.mmap sqlite3.connect sqlite3.connect().*
    dbm.open shelve.open zipfile.ZipFile tarfile.open gzip.open bz2.open lzma.open aiofiles.open aiofiles.open().*
    pandas.read_csv pandas.read_excel pandas.read_parquet pandas.read_json pandas.read_sql numpy.load numpy.save
    importlib.resources.files importlib.resources.read_text importlib.resources.read_binary
"""
_PATH_METHODS = """
    open read_text read_bytes write_text write_bytes exists is_file is_dir is_symlink is_mount stat lstat owner group
    iterdir glob rglob walk mkdir rmdir touch unlink rename replace symlink_to hardlink_to readlink chmod lchmod resolve
    absolute samefile expanduser
"""
_NETWORK = """
    socket.socket socket.socket().* socket.create_connection socket.create_server socket.socketpair socket.fromfd
    socket.getaddrinfo socket.gethostbyname socket.gethostbyname_ex socket.gethostbyaddr socket.getnameinfo
    ssl.create_default_context ssl.wrap_socket ssl.get_server_certificate
    http.client.HTTPConnection http.client.HTTPSConnection http.client.HTTPConnection().*
    http.client.HTTPSConnection().* urllib.request.urlopen urllib.request.urlretrieve urllib.request.build_opener
    requests.get requests.post requests.put requests.patch requests.delete requests.head requests.options
    requests.request requests.Session requests.session requests.Session().* requests.session().*
    httpx.get httpx.post httpx.put httpx.patch httpx.delete httpx.head httpx.options httpx.request httpx.stream
    httpx.Client httpx.AsyncClient httpx.Client().* httpx.AsyncClient().*
    aiohttp.request aiohttp.ClientSession aiohttp.ClientSession().* urllib3.request urllib3.PoolManager
    urllib3.PoolManager().* urllib3.HTTPConnectionPool urllib3.HTTPSConnectionPool asks.* niquests.*
    websockets.connect websockets.serve websocket.create_connection trio_websocket.*
    smtplib.SMTP smtplib.SMTP_SSL smtplib.SMTP().* smtplib.SMTP_SSL().* imaplib.IMAP4 imaplib.IMAP4_SSL poplib.POP3
    poplib.POP3_SSL ftplib.FTP ftplib.FTP_TLS telnetlib.Telnet nntplib.NNTP xmlrpc.client.ServerProxy
    boto3.client boto3.resource boto3.Session boto3.client().* boto3.resource().* botocore.session.get_session
    redis.Redis redis.StrictRedis redis.from_url redis.Redis().* redis.StrictRedis().* redis.from_url().*
    redis.asyncio.* psycopg.connect psycopg.AsyncConnection.connect psycopg.connect().* psycopg2.connect
    psycopg2.connect().* asyncpg.connect asyncpg.create_pool pymysql.connect MySQLdb.connect mysql.connector.connect
    aiomysql.connect aiomysql.create_pool pymongo.MongoClient pymongo.MongoClient().* motor.motor_asyncio.*
    sqlalchemy.create_engine sqlalchemy.create_engine().* sqlalchemy.ext.asyncio.create_async_engine
    paramiko.SSHClient paramiko.SSHClient().* grpc.insecure_channel grpc.secure_channel grpc.aio.* dns.resolver.*
    kafka.KafkaProducer kafka.KafkaConsumer pika.BlockingConnection stripe.Charge.create openai.OpenAI
    openai.OpenAI().* openai.AsyncOpenAI openai.AsyncOpenAI().* anthropic.Anthropic anthropic.Anthropic().*
    anthropic.AsyncAnthropic anthropic.AsyncAnthropic().*
"""
_SUBPROCESS = """
    subprocess.run subprocess.call subprocess.check_call subprocess.check_output subprocess.Popen subprocess.Popen().*
    subprocess.getoutput subprocess.getstatusoutput os.system os.popen os.execl os.execle os.execlp os.execlpe os.execv
    os.execve os.execvp os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnv os.spawnve os.spawnvp os.posix_spawn
    os.posix_spawnp os.fork os.forkpty os.kill os.killpg os.abort os._exit os.startfile pty.spawn pty.fork
    multiprocessing.Process multiprocessing.Pool multiprocessing.Queue multiprocessing.Manager multiprocessing.Pipe
    multiprocessing.get_context multiprocessing.Process().* multiprocessing.Pool().* pexpect.spawn sh.*
"""
_THREADS = """
    threading.Thread threading.Thread().* threading.Timer threading.Timer().* threading.Lock threading.Lock().*
    threading.RLock threading.RLock().* threading.Condition threading.Condition().* threading.Semaphore
    threading.Semaphore().* threading.BoundedSemaphore threading.BoundedSemaphore().* threading.Event
    threading.Event().* threading.Barrier threading.Barrier().* threading.get_ident threading.current_thread
    threading.active_count threading.enumerate _thread.* queue.Queue queue.Queue().* queue.SimpleQueue
    queue.SimpleQueue().* queue.LifoQueue queue.LifoQueue().* queue.PriorityQueue queue.PriorityQueue().*
    concurrent.futures.ThreadPoolExecutor concurrent.futures.ThreadPoolExecutor().*
    concurrent.futures.ProcessPoolExecutor concurrent.futures.ProcessPoolExecutor().* concurrent.futures.wait
    concurrent.futures.as_completed concurrent.futures.Future concurrent.futures.thread.ThreadPoolExecutor
"""
_BLOCKING = """
    time.sleep builtins.input builtins.breakpoint getpass.getpass signal.pause signal.sigwait signal.signal
    signal.alarm signal.setitimer select.select select.poll select.epoll select.kqueue selectors.DefaultSelector os.wait
    os.waitpid os.wait3 os.wait4 os.waitid sys.stdin sys.stdin.* pdb.set_trace fcntl.flock fcntl.lockf
"""
_OUTPUT = """
    builtins.print pprint.pprint pprint.pp rich.print sys.stdout.write sys.stderr.write sys.stdout.flush
    logging.debug logging.info logging.warning logging.warn logging.error logging.exception logging.critical logging.log
    logging.getLogger().debug logging.getLogger().info logging.getLogger().warning logging.getLogger().warn
    logging.getLogger().error logging.getLogger().exception logging.getLogger().critical logging.getLogger().log
    logging.Logger().debug logging.Logger().info logging.Logger().warning logging.Logger().error
    logging.Logger().exception logging.Logger().critical logging.Logger().log
    logging.LoggerAdapter().debug logging.LoggerAdapter().info logging.LoggerAdapter().warning
    logging.LoggerAdapter().error logging.LoggerAdapter().exception loguru.logger.* structlog.get_logger().*
    structlog.getLogger().* click.echo typer.echo
"""
_OUTSIDE = """
    wfactors.open_engine wfactors.open_client wfactors.heartbeat wfactors.last_heartbeat wfactors.activity_info
    wfactors.activity_context wfactors.MemoryStore wfactors.SqliteStore
"""
_FOREIGN = "trio.* asyncio.* anyio.* curio.* gevent.* eventlet.* trio_asyncio.* twisted.internet.* uvloop.* tricycle.*"

# Calls with fewer positional arguments are findings, others are not: time.localtime(0) does not read the clock.
# What depends on the time zone of the machine stays in the table above.
ARGUMENTS_MIN = {
    "time.gmtime": 1,
    "time.strftime": 2,
    "random.Random": 1,
    "numpy.random.default_rng": 1,
    "datetime.datetime.fromtimestamp": 2,
}


def _entries() -> dict[str, str]:
    paths = " ".join(f"pathlib.{cls}().{name}" for cls in ("Path", "PosixPath") for name in _PATH_METHODS.split())
    tables = {
        "WF101": _CLOCK,
        "WF102": _RANDOM,
        "WF103": _UUID,
        "WF104": _ENVIRONMENT,
        "WF105": f"{_FILES} {paths}",
        "WF106": _NETWORK,
        "WF107": _SUBPROCESS,
        "WF108": _THREADS,
        "WF109": _FOREIGN,
        "WF110": _BLOCKING,
        "WF118": _OUTPUT,
        "WF122": _OUTSIDE,
    }
    return {name: code for code, names in tables.items() for name in names.split()}


ENTRIES = _entries()


def find(name: str) -> str | None:
    """The code of the rule about a name; None if there is none."""
    code = ENTRIES.get(name)
    while code is None:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
        code = ENTRIES.get(f"{name}.*")
    return code
