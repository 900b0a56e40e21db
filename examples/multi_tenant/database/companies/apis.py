"""The endpoints of companies."""

from fastapi import APIRouter, Depends
from utils.rate_limiter import get_rate_limit_key

from database.companies import crud
from database.companies.schemas import CompanyOut, DepartmentOut, EntityCreate, MemberOut
from database.dependencies import Session, get_current_user, require_admin_role
from stockade import Principal
from stockade.errors import ForbiddenError
from stockade.rate_limiting import Limiter

router = APIRouter(prefix="/companies", tags=["companies"])
limiter = Limiter(key_func=get_rate_limit_key)


@router.get("")
async def list_companies(caller: Principal = Depends(get_current_user)) -> list[CompanyOut]:
    """List all companies, which is for those who run the whole system."""
    if not caller.is_super_admin:
        raise ForbiddenError(reason="authorization.not_super_admin")
    return await crud.list_companies()


@router.get("/departments", dependencies=[Depends(get_current_user)])
async def list_departments(session: Session) -> list[DepartmentOut]:
    """List the departments of the caller's company."""
    found = await crud.list_departments(session)
    return [DepartmentOut.model_validate(department) for department in found]


@router.post("/departments", status_code=201, dependencies=[Depends(require_admin_role)])
async def create_department(given: EntityCreate, session: Session) -> DepartmentOut:
    """Add a department."""
    return DepartmentOut.model_validate(await crud.create_department(session, given))


@router.post("/admin-endpoint")
async def admin_endpoint(
    token: dict = Depends(get_current_user),
    _: None = Depends(require_admin_role),
) -> list[MemberOut]:
    """List the members of the caller's company, which takes an admin or an owner."""
    company = token["active_tenant_id"]
    return await crud.list_members(company) if company else []


@router.post("/endpoint")
@limiter.limit("100/minute")
async def endpoint(token: dict = Depends(get_current_user)) -> dict[str, str]:
    """Say hello, at most a hundred times a minute."""
    return {"hello": token["email"]}
